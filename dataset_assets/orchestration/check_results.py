"""What checks found, as results of Dagster's asset checks: with an asset, or of the release if they run alone."""

from typing import Any, Iterable, Iterator, Mapping

import dagster as dg

from dataset_assets.definition.dataset import Dataset
from dataset_assets.making.checked_again import checked_again
from dataset_assets.orchestration.check_numbers import numbers_of
from dataset_assets.orchestration.io_manager import StorageIOManager
from dataset_assets.orchestration.markdown import prose
from dataset_assets.orchestration.retries import no_vain_retries
from dataset_assets.storage.manifest import Finding
from dataset_assets.storage.stored_dataset import StoredDataset

_LEVELS = {"error": dg.AssetCheckSeverity.ERROR, "warn": dg.AssetCheckSeverity.WARN}


def asked_checks(context: dg.AssetExecutionContext, findings: Mapping[str, str]) -> dict[str, dg.AssetCheckKey]:
    """Return the checks that this run executes, by the name of their finding; `findings` maps it to the check's."""
    found = {check.name: check for check in context.selected_asset_check_keys}
    return {finding: found[name] for finding, name in findings.items() if name in found}


def results(findings: Iterable[Finding], asked: Mapping[str, dg.AssetCheckKey], **more: Any) -> Iterator[Any]:
    """Yield the findings of the checks that are asked for; another release may have had other checks."""
    for finding in findings:
        if finding.check in asked:
            yield dg.AssetCheckResult(
                passed=finding.passed,
                asset_key=asked[finding.check].asset_key,
                check_name=asked[finding.check].name,
                severity=_LEVELS[finding.severity],
                description=prose(finding.message),
                metadata={**numbers_of(finding), "found": finding.message, **more},
            )


def results_alone(
    context: dg.AssetExecutionContext, dataset: Dataset, io: str, asked: Mapping[str, dg.AssetCheckKey]
) -> Iterator[Any]:
    """Yield what the checks find in the version that is released; nothing is made. Without one the step fails."""
    connector: StorageIOManager = getattr(context.resources, io)
    with no_vain_retries():
        digest, findings = checked_again(dataset, StoredDataset(connector.opened(), dataset.name), asked)
    yield from results(findings, asked, version=digest)

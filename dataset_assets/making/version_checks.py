"""The checks of a version: across its splits, and those of the dataset's author; a failed check may refuse it."""

import logging
from dataclasses import replace
from typing import Any, Callable, Mapping, NoReturn

from dataset_assets.checks import built_in as checking
from dataset_assets.checks.thresholds import BY_NAME, Drift, Threshold
from dataset_assets.definition.check_names import SKIPPED
from dataset_assets.definition.dataset import Dataset
from dataset_assets.errors import CheckFailed
from dataset_assets.making.recipe import release_recipe
from dataset_assets.reading.stored_files import index_of
from dataset_assets.reading.streaming import streaming_columns
from dataset_assets.reading.views import Stored, View
from dataset_assets.storage.format_numbers import format_of
from dataset_assets.storage.manifest import Finding, Skipped, SplitIndex, Version

log = logging.getLogger(__name__)

SHOWN = 5
Before = Callable[[], Mapping[str, View]]


def check_version(dataset: Dataset, views: Mapping[str, Stored], before: Before = dict) -> Version:
    """Run the checks on the splits of a new version, and return it; nothing is written.

    `before` opens the splits of the version that was current before, as far as they can be read.
    """
    # In the order of the definition: the findings are part of the version's digest.
    views = {split: views[split] for split in dataset.splits}
    findings = [finding for split, view in views.items() for finding in split_findings(dataset, index_of(view))]
    findings += [version_finding(dataset, name, views, before) for name in version_checks(dataset)]
    splits = {split: view.origin.index for split, view in views.items()}
    recipe = release_recipe(dataset, splits)
    # The splits of one release are made by the same rules; `release` refuses others.
    excluded = max((index_of(view).excluded for view in views.values()), default="")
    number = format_of(excluded)
    return Version(dataset.name, splits, tuple(findings), recipe, number, dataset.axes, excluded)


def split_findings(dataset: Dataset, index: SplitIndex) -> list[Finding]:
    """Return the split's findings with the severity that the definition gives them."""
    found = [*index.findings, *([_skipped(dataset, index)] if dataset.skips else [])]
    return [
        Finding(f"{index.split}.{finding.check}", finding.passed, finding.message, severity)
        for finding in found
        if (severity := dataset.severity(finding.check)) != "off"
    ]


def _skipped(dataset: Dataset, index: SplitIndex) -> Finding:
    """Say how many bad samples of a split were left out, and whether that is more than the definition allows."""
    count, total, limit = index.skipped, index.samples + index.skipped, dataset.on_error
    first = "; ".join(map(_shown, index.bad[:SHOWN]))
    said = f"{count} of {total} samples were skipped{f'. The first: {first}' * bool(first)}"
    if isinstance(limit, str):
        return Finding(SKIPPED, True, f"{said.rstrip('.')}.")
    allowed = f"{100 * limit:g} %" if isinstance(limit, float) else str(limit)
    too_many = count > (limit * total if isinstance(limit, float) else limit)
    return Finding(SKIPPED, not too_many, f"{said.rstrip('.')}." + f" At most {allowed} are allowed." * too_many)


def _shown(bad: Skipped) -> str:
    return f"sample {bad.sample}{f' of {bad.source}' * bool(bad.source)}: {bad.why}"


def version_checks(dataset: Dataset) -> list[str]:
    """Return the names of the checks across splits, and of the dataset's own."""
    named = [name for name in checking.VERSION_CHECKS if dataset.severity(name) != "off"]
    own = [name for name, check in dataset.checks.items() if callable(check) or name in BY_NAME and check != "off"]
    return [*named, *own]


def version_finding(dataset: Dataset, name: str, views: Mapping[str, Stored], before: Before) -> Finding:
    """Run a check across splits, or one of the dataset's own."""
    check = check_of(dataset, name)
    if callable(check):
        more = {"before": before()} if isinstance(check, Drift) else {}
        return checking.run_own(name, check, views, dataset.severity(name), **more)
    columns = {split: streaming_columns(view) for split, view in views.items()}
    sources = {split: dataset.sources_of(split) for split in views}
    leakage = checking.check_leakage(columns, dataset.roles, sources=sources)
    return replace(leakage, severity=dataset.severity(name))


def check_of(dataset: Dataset, name: str) -> Any:
    """Return the function of a check that a definition chose; what it says of one that has none."""
    chosen = dataset.checks.get(name)
    return BY_NAME[name](severity=chosen) if name in BY_NAME and isinstance(chosen, str) else chosen


def refuse(dataset: Dataset, version: Version, digest: str, advice: str) -> NoReturn:
    """Raise `CheckFailed` for a version that was refused; the advice ends the message."""
    errors = [f for f in version.findings if not f.passed and f.severity == "error"]
    failed = [f"{finding.check}: {finding.message}" for finding in errors]
    accepted = " and ".join(dict.fromkeys(_accepted(dataset, finding.check) for finding in errors))
    raise CheckFailed(
        f"{version.dataset} was not released. {' '.join(failed)} Look at it as {version.dataset}@{digest}; mend "
        f"the definition, or accept it there with {accepted}. {advice}".rstrip()
    )


def _accepted(dataset: Dataset, check: str) -> str:
    """Return what a definition says to let a failure of a check pass."""
    chosen = dataset.checks.get(check)
    if isinstance(chosen, Threshold):
        return f"severity='warn' in the check {check!r}"
    if callable(chosen):
        return f"a check {check!r} that returns None"
    # Those of a split are named with it.
    name = check.rpartition(".")[2]
    return "a larger on_error" if name == SKIPPED else f"checks={{{name!r}: 'warn'}}"


def tell_warnings(version: Version) -> None:
    """Log the checks of a version that failed and only warn."""
    for finding in version.findings:
        if not finding.passed and finding.severity == "warn":
            log.warning("%s, check %s: %s", version.dataset, finding.check, finding.message)

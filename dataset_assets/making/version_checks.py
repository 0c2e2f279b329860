"""The checks of a version: across its splits, and those of the dataset's author; a failed check may refuse it."""

from dataclasses import replace
from typing import Mapping, NoReturn

from dataset_assets.checks import built_in as checking
from dataset_assets.definition.dataset import Dataset
from dataset_assets.errors import CheckFailed
from dataset_assets.making.recipe import release_recipe
from dataset_assets.reading.stored_files import index_of
from dataset_assets.reading.streaming import streaming_columns
from dataset_assets.reading.views import Stored
from dataset_assets.storage.manifest import Finding, SplitIndex, Version, format_of


def check_version(dataset: Dataset, views: Mapping[str, Stored]) -> Version:
    """Run the checks on the splits of a new version, and return it; nothing is written."""
    # In the order of the definition: the findings are part of the version's digest.
    views = {split: views[split] for split in dataset.splits}
    findings = [finding for split, view in views.items() for finding in split_findings(dataset, index_of(view))]
    findings += version_findings(dataset, views)
    splits = {split: view.origin.index for split, view in views.items()}
    recipe = release_recipe(dataset, splits)
    # The splits of one release are made by the same rules; `release` refuses others.
    excluded = max((index_of(view).excluded for view in views.values()), default="")
    number = format_of(excluded)
    return Version(dataset.name, splits, tuple(findings), recipe, number, dataset.axes, excluded)


def split_findings(dataset: Dataset, index: SplitIndex) -> list[Finding]:
    """Return the split's findings with the severity that the definition gives them."""
    return [
        Finding(f"{index.split}.{finding.check}", finding.passed, finding.message, severity)
        for finding in index.findings
        if (severity := dataset.severity(finding.check)) != "off"
    ]


def version_checks(dataset: Dataset) -> list[str]:
    """Return the names of the checks across splits, and of the dataset's own."""
    own = [name for name, check in dataset.checks.items() if callable(check)]
    return [*(name for name in checking.VERSION_CHECKS if dataset.severity(name) != "off"), *own]


def version_findings(dataset: Dataset, views: Mapping[str, Stored]) -> list[Finding]:
    """Run the checks across splits, and the dataset's own."""
    found = []
    for name in version_checks(dataset):
        check = dataset.checks.get(name)
        if callable(check):
            found.append(checking.run_own(name, check, views))
        else:
            columns = {split: streaming_columns(view) for split, view in views.items()}
            sources = {split: dataset.sources_of(split) for split in views}
            leakage = checking.check_leakage(columns, dataset.roles, sources=sources)
            found.append(replace(leakage, severity=dataset.severity(name)))
    return found


def refuse(version: Version, digest: str, advice: str) -> NoReturn:
    """Raise `CheckFailed` for a version that was refused; the advice ends the message."""
    errors = [f for f in version.findings if not f.passed and f.severity == "error"]
    failed = [f"{finding.check}: {finding.message}" for finding in errors]
    accepted = ", ".join(dict.fromkeys(f"{finding.check!r}: 'warn'" for finding in errors))
    raise CheckFailed(
        f"{version.dataset} was not released. {' '.join(failed)} Look at it as {version.dataset}@{digest}; mend "
        f"the definition, or accept it there with checks={{{accepted}}}. {advice}".rstrip()
    )

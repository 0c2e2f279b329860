"""Is there anything new? The sources of a dataset as an observable asset: a change there changes its data version.

Observing it asks for headers only, downloads nothing and makes nothing.
"""

import warnings
from typing import Any

import dagster as dg

from dataset_assets.core.canonical import digest_of
from dataset_assets.core.redact import redacted
from dataset_assets.definition.dataset import Dataset, RemoteFile
from dataset_assets.definition.remote_file import is_partitioned
from dataset_assets.making.source_looks import look_at
from dataset_assets.orchestration import keys

SHOWN = 100


def observed_files(dataset: Dataset) -> dict[str, RemoteFile]:
    """Return the files whose source is observed: of those of partitions, the asset that writes them says it."""
    return {name: file for name, file in dataset.remote_files.items() if not is_partitioned(file)}


def source_observed(dataset: Dataset) -> Any:
    """Return the asset that is the sources of a dataset's files."""
    files = observed_files(dataset)

    def observe() -> dg.ObserveResult:
        seen = look_at(files.values())
        rows = [
            dg.TableRecord({"file": name, "bytes": str(look.bytes), "version": str(look.etag or look.last_modified)})
            for name, look in [*seen.items()][:SHOWN]
        ]
        version = digest_of({name: [look.etag or look.last_modified, look.bytes] for name, look in seen.items()})
        return dg.ObserveResult(
            data_version=dg.DataVersion(version), metadata={"files": len(seen), "seen": dg.MetadataValue.table(rows)}
        )

    first = redacted(next(iter(files.values())).urls[0])
    with warnings.catch_warnings():
        # It is marked beta and is the public way to watch what others make.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.observable_source_asset(
            key=keys.source_key(dataset.name),
            group_name=keys.group(dataset.name, "raw"),
            description=f"The sources of {dataset.name}, such as {first}. Observing it asks whether they have changed.",
        )(observe)

"""From a source to a definition: looks at files, folders, tables and what is in memory, and infers the streams."""

from typing import TYPE_CHECKING

from dataset_assets.core.lazy import lazily

__all__ = [
    "column_samples", "dataset_from", "file_samples", "manual_url", "named_file_samples", "objects_in_place",
    "source_of", "sql_url",
]  # fmt: skip

if TYPE_CHECKING:
    from dataset_assets.sources.infer import dataset_from as dataset_from
    from dataset_assets.sources.manual import manual_url as manual_url
    from dataset_assets.sources.query import sql_url as sql_url
    from dataset_assets.sources.split_functions import column_samples as column_samples
    from dataset_assets.sources.split_functions import file_samples as file_samples
    from dataset_assets.sources.split_functions import named_file_samples as named_file_samples
    from dataset_assets.sources.split_functions import objects_in_place as objects_in_place
    from dataset_assets.sources.written import source_of as source_of

__getattr__, __dir__ = lazily(
    globals(),
    {
        "column_samples": "split_functions",
        "dataset_from": "infer",
        "file_samples": "split_functions",
        "manual_url": "manual",
        "named_file_samples": "split_functions",
        "objects_in_place": "split_functions",
        "source_of": "written",
        "sql_url": "query",
    },
)

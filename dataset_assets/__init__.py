"""One path from a URL to a training batch: define a dataset once, let Dagster make it, open it in training code."""

from typing import TYPE_CHECKING

from dataset_assets.core.lazy import lazily

__version__ = "0.1.0"

# Names are imported on first use, so that training code does not import what only making datasets needs.
_FACE = {
    "Array": "formats",
    "Audio": "formats",
    "BadSample": "core.bad_sample",
    "Bytes": "formats",
    "Files": "formats",
    "Image": "formats",
    "Json": "formats",
    "Ragged": "formats",
    "Table": "formats",
    "Text": "formats",
    "Columns": "formats.columns",
    "Dataset": "definition.dataset",
    "DerivedFile": "definition.dataset",
    "Family": "definition.family",
    "FileOf": "definition.links",
    "ForEach": "definition.for_each",
    "extracted_file": "definition.archive_files",
    "joined_file": "definition.archive_files",
    "dataset_from": "sources.infer",
    "dataset_from_yaml": "definition.yaml_file",
    "ParallelMap": "definition.parallel_map",
    "RemoteFile": "definition.remote_file",
    "Split": "definition.dataset",
    "SplitOf": "definition.dataset",
    "Loader": "loader",
    "View": "reading.views",
    "load": "reading.load",
    "prepare": "making.prepare",
    "open_storage": "storage",
    "view_from_json": "reading.load",
    "view_of": "reading.convert",
    "check_sources": "making.source_checks",
    "checkout": "moving.checkout",
    "cite": "moving.cite",
    "diff": "moving.diff",
    "export": "moving.export",
    "pull": "moving.share",
    "purge": "moving.share",
    "push": "moving.share",
    "register": "moving.register",
}

__all__ = sorted(_FACE)

if TYPE_CHECKING:
    from dataset_assets.core.bad_sample import BadSample as BadSample
    from dataset_assets.definition.archive_files import extracted_file as extracted_file
    from dataset_assets.definition.archive_files import joined_file as joined_file
    from dataset_assets.definition.dataset import Dataset as Dataset
    from dataset_assets.definition.dataset import DerivedFile as DerivedFile
    from dataset_assets.definition.dataset import Split as Split
    from dataset_assets.definition.dataset import SplitOf as SplitOf
    from dataset_assets.definition.family import Family as Family
    from dataset_assets.definition.for_each import ForEach as ForEach
    from dataset_assets.definition.links import FileOf as FileOf
    from dataset_assets.definition.parallel_map import ParallelMap as ParallelMap
    from dataset_assets.definition.remote_file import RemoteFile as RemoteFile
    from dataset_assets.definition.yaml_file import dataset_from_yaml as dataset_from_yaml
    from dataset_assets.formats import Array as Array
    from dataset_assets.formats import Audio as Audio
    from dataset_assets.formats import Bytes as Bytes
    from dataset_assets.formats import Files as Files
    from dataset_assets.formats import Image as Image
    from dataset_assets.formats import Json as Json
    from dataset_assets.formats import Ragged as Ragged
    from dataset_assets.formats import Table as Table
    from dataset_assets.formats import Text as Text
    from dataset_assets.formats.columns import Columns as Columns
    from dataset_assets.loader import Loader as Loader
    from dataset_assets.making.prepare import prepare as prepare
    from dataset_assets.making.source_checks import check_sources as check_sources
    from dataset_assets.moving.checkout import checkout as checkout
    from dataset_assets.moving.cite import cite as cite
    from dataset_assets.moving.diff import diff as diff
    from dataset_assets.moving.export import export as export
    from dataset_assets.moving.register import register as register
    from dataset_assets.moving.share import pull as pull
    from dataset_assets.moving.share import purge as purge
    from dataset_assets.moving.share import push as push
    from dataset_assets.reading.convert import view_of as view_of
    from dataset_assets.reading.load import load as load
    from dataset_assets.reading.load import view_from_json as view_from_json
    from dataset_assets.reading.views import View as View
    from dataset_assets.sources.infer import dataset_from as dataset_from
    from dataset_assets.storage import open_storage as open_storage

__getattr__, __dir__ = lazily(globals(), _FACE)

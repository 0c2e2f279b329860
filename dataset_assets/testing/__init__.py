"""Suites for datasets and plugins: subclass one and run it with pytest. With a faulty server and disk faults."""

from typing import TYPE_CHECKING

from dataset_assets.core.lazy import lazily

# pytest and hypothesis are imported when a suite is asked for.
_PLACES = {
    "Calls": "faults",
    "ChangeEtag": "http_faults",
    "Chunked": "http_faults",
    "ChunkedCut": "http_faults",
    "CutHeaders": "http_faults",
    "DatasetTests": "datasets",
    "DiskFault": "faults",
    "Drop": "http_faults",
    "EndlessBody": "http_faults",
    "EndlessHeaders": "http_faults",
    "EndlessTrailers": "http_faults",
    "EngineTests": "engines",
    "Fault": "http_faults",
    "FaultyServer": "server",
    "FormatTests": "formats",
    "Gzip": "http_faults",
    "Headers": "http_faults",
    "Html": "http_faults",
    "IgnoreRange": "http_faults",
    "LengthTooBig": "http_faults",
    "LengthTooSmall": "http_faults",
    "Line": "http_faults",
    "LoaderTests": "loaders",
    "Lost": "http_faults",
    "NoLength": "http_faults",
    "PartAsWhole": "http_faults",
    "Proxy": "proxy",
    "Redirect": "http_faults",
    "Reply": "http_faults",
    "Request": "server",
    "Reset": "http_faults",
    "ShortRange": "http_faults",
    "Silence": "http_faults",
    "Slow": "http_faults",
    "SlowHeaders": "http_faults",
    "Stack": "views",
    "Stall": "http_faults",
    "Status": "http_faults",
    "StorageTests": "storage",
    "WireError": "http_faults",
    "WireProxy": "wire_proxy",
    "WrongRange": "http_faults",
    "check_view": "views",
    "counting": "faults",
    "failing": "faults",
    "failures": "loaders",
    "stacks": "views",
    "storage_state_machine": "storage",
}

__all__ = sorted(_PLACES)

if TYPE_CHECKING:
    from dataset_assets.testing.datasets import DatasetTests as DatasetTests
    from dataset_assets.testing.engines import EngineTests as EngineTests
    from dataset_assets.testing.faults import Calls as Calls
    from dataset_assets.testing.faults import DiskFault as DiskFault
    from dataset_assets.testing.faults import counting as counting
    from dataset_assets.testing.faults import failing as failing
    from dataset_assets.testing.formats import FormatTests as FormatTests
    from dataset_assets.testing.http_faults import ChangeEtag as ChangeEtag
    from dataset_assets.testing.http_faults import Chunked as Chunked
    from dataset_assets.testing.http_faults import ChunkedCut as ChunkedCut
    from dataset_assets.testing.http_faults import CutHeaders as CutHeaders
    from dataset_assets.testing.http_faults import Drop as Drop
    from dataset_assets.testing.http_faults import EndlessBody as EndlessBody
    from dataset_assets.testing.http_faults import EndlessHeaders as EndlessHeaders
    from dataset_assets.testing.http_faults import EndlessTrailers as EndlessTrailers
    from dataset_assets.testing.http_faults import Fault as Fault
    from dataset_assets.testing.http_faults import Gzip as Gzip
    from dataset_assets.testing.http_faults import Headers as Headers
    from dataset_assets.testing.http_faults import Html as Html
    from dataset_assets.testing.http_faults import IgnoreRange as IgnoreRange
    from dataset_assets.testing.http_faults import LengthTooBig as LengthTooBig
    from dataset_assets.testing.http_faults import LengthTooSmall as LengthTooSmall
    from dataset_assets.testing.http_faults import Line as Line
    from dataset_assets.testing.http_faults import Lost as Lost
    from dataset_assets.testing.http_faults import NoLength as NoLength
    from dataset_assets.testing.http_faults import PartAsWhole as PartAsWhole
    from dataset_assets.testing.http_faults import Redirect as Redirect
    from dataset_assets.testing.http_faults import Reply as Reply
    from dataset_assets.testing.http_faults import Reset as Reset
    from dataset_assets.testing.http_faults import ShortRange as ShortRange
    from dataset_assets.testing.http_faults import Silence as Silence
    from dataset_assets.testing.http_faults import Slow as Slow
    from dataset_assets.testing.http_faults import SlowHeaders as SlowHeaders
    from dataset_assets.testing.http_faults import Stall as Stall
    from dataset_assets.testing.http_faults import Status as Status
    from dataset_assets.testing.http_faults import WireError as WireError
    from dataset_assets.testing.http_faults import WrongRange as WrongRange
    from dataset_assets.testing.loaders import LoaderTests as LoaderTests
    from dataset_assets.testing.loaders import failures as failures
    from dataset_assets.testing.proxy import Proxy as Proxy
    from dataset_assets.testing.server import FaultyServer as FaultyServer
    from dataset_assets.testing.server import Request as Request
    from dataset_assets.testing.storage import StorageTests as StorageTests
    from dataset_assets.testing.storage import storage_state_machine as storage_state_machine
    from dataset_assets.testing.views import Stack as Stack
    from dataset_assets.testing.views import check_view as check_view
    from dataset_assets.testing.views import stacks as stacks
    from dataset_assets.testing.wire_proxy import WireProxy as WireProxy

__getattr__, __dir__ = lazily(globals(), _PLACES)

"""Views: stackable, lazy sequences of samples."""

from typing import TYPE_CHECKING

from dataset_assets.core.lazy import lazily
from dataset_assets.reading.views.document import restored
from dataset_assets.reading.views.node import Lineage, Origin
from dataset_assets.reading.views.operations import OPERATIONS, operation
from dataset_assets.reading.views.stored import Opener, Stored
from dataset_assets.reading.views.view import Fold, NestedFold, Subset, View

if TYPE_CHECKING:
    from dataset_assets.reading.views.arranged import Filtered as Filtered
    from dataset_assets.reading.views.arranged import Interleaved as Interleaved
    from dataset_assets.reading.views.arranged import Mixed as Mixed
    from dataset_assets.reading.views.arranged import Repeated as Repeated
    from dataset_assets.reading.views.arranged import Sharded as Sharded
    from dataset_assets.reading.views.arranged import Shuffled as Shuffled
    from dataset_assets.reading.views.arranged import Sorted as Sorted
    from dataset_assets.reading.views.batched import Batched as Batched
    from dataset_assets.reading.views.cached import Cached as Cached
    from dataset_assets.reading.views.encoded import Encoded as Encoded
    from dataset_assets.reading.views.epochs import at_epoch as at_epoch
    from dataset_assets.reading.views.in_memory import ListColumn as ListColumn
    from dataset_assets.reading.views.in_memory import Sourced as Sourced
    from dataset_assets.reading.views.joined import Concatenated as Concatenated
    from dataset_assets.reading.views.joined import Zipped as Zipped
    from dataset_assets.reading.views.mapped import Mapped as Mapped
    from dataset_assets.reading.views.mapped import MappedBlocks as MappedBlocks
    from dataset_assets.reading.views.mapped import Tupled as Tupled
    from dataset_assets.reading.views.parts import FoldPart as FoldPart
    from dataset_assets.reading.views.parts import GroupPart as GroupPart
    from dataset_assets.reading.views.parts import HashPart as HashPart
    from dataset_assets.reading.views.parts import Part as Part
    from dataset_assets.reading.views.parts import RandomPart as RandomPart
    from dataset_assets.reading.views.parts import StratifiedPart as StratifiedPart
    from dataset_assets.reading.views.report import Report as Report
    from dataset_assets.reading.views.selected import Selected as Selected
    from dataset_assets.reading.views.streams import Narrowed as Narrowed
    from dataset_assets.reading.views.streams import Renamed as Renamed

__all__ = [
    "OPERATIONS",
    "Batched",
    "Cached",
    "Concatenated",
    "Encoded",
    "Filtered",
    "Fold",
    "FoldPart",
    "GroupPart",
    "HashPart",
    "Interleaved",
    "Lineage",
    "ListColumn",
    "Mapped",
    "MappedBlocks",
    "Mixed",
    "Narrowed",
    "NestedFold",
    "Opener",
    "Origin",
    "Part",
    "RandomPart",
    "Renamed",
    "Repeated",
    "Report",
    "Selected",
    "Sharded",
    "Shuffled",
    "Sorted",
    "Sourced",
    "Stored",
    "StratifiedPart",
    "Subset",
    "Tupled",
    "View",
    "Zipped",
    "at_epoch",
    "operation",
    "restored",
]

# Most programs use few kinds of views: each is imported when it is used first.
__getattr__, __dir__ = lazily(
    globals(),
    {
        **dict.fromkeys(("Filtered", "Interleaved", "Mixed", "Repeated", "Sharded", "Shuffled", "Sorted"), "arranged"),
        **dict.fromkeys(("ListColumn", "Sourced"), "in_memory"),
        **dict.fromkeys(("Concatenated", "Zipped"), "joined"),
        **dict.fromkeys(("Mapped", "MappedBlocks", "Tupled"), "mapped"),
        **dict.fromkeys(("FoldPart", "GroupPart", "HashPart", "Part", "RandomPart", "StratifiedPart"), "parts"),
        **dict.fromkeys(("Narrowed", "Renamed"), "streams"),
        "Batched": "batched",
        "Cached": "cached",
        "Encoded": "encoded",
        "Report": "report",
        "Selected": "selected",
        "at_epoch": "epochs",
    },
)

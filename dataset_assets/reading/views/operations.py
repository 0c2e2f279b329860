"""The registry of operations: every kind of view by its name, and the functions that views' methods call.

Their modules are imported when a view uses them first: most programs use few.
"""

from typing import Any, Callable, TypeVar

from dataset_assets.core.lazy import Table
from dataset_assets.errors import UsageError

Kind = TypeVar("Kind", bound=type[Any])

_READING = "dataset_assets.reading"

OPERATIONS: Table[type[Any]] = Table(
    {
        "map": f"{_READING}.views.mapped:Mapped",
        "map_blocks": f"{_READING}.views.mapped:MappedBlocks",
        "tuples": f"{_READING}.views.mapped:Tupled",
        "encode": f"{_READING}.views.encoded:Encoded",
        "select": f"{_READING}.views.selected:Selected",
        "only": f"{_READING}.views.streams:Narrowed",
        "rename": f"{_READING}.views.streams:Renamed",
        "zip": f"{_READING}.views.joined:Zipped",
        "concat": f"{_READING}.views.joined:Concatenated",
        "shuffle": f"{_READING}.views.arranged:Shuffled",
        "shard": f"{_READING}.views.arranged:Sharded",
        "repeat": f"{_READING}.views.arranged:Repeated",
        "sort_by": f"{_READING}.views.arranged:Sorted",
        "filter": f"{_READING}.views.arranged:Filtered",
        "interleave": f"{_READING}.views.arranged:Interleaved",
        "mix": f"{_READING}.views.arranged:Mixed",
        "batch": f"{_READING}.views.batched:Batched",
        "stored": f"{_READING}.views.stored:Stored",
        "sourced": f"{_READING}.views.in_memory:Sourced",
        "cache": f"{_READING}.views.cached:Cached",
        "random_split": f"{_READING}.views.parts:RandomPart",
        "stratified_split": f"{_READING}.views.parts:StratifiedPart",
        "group_split": f"{_READING}.views.parts:GroupPart",
        "hash_split": f"{_READING}.views.parts:HashPart",
        "kfold": f"{_READING}.views.parts:FoldPart",
    }
)
"""The kinds of views that a JSON document can name."""

VERBS: Table[Callable[..., Any]] = Table(
    {
        "fit_encoders": f"{_READING}.views.encoded:fit_encoders",
        "mapped_targets": f"{_READING}.views.targets:mapped_targets",
        "one_hot_targets": f"{_READING}.views.targets:one_hot_targets",
        "chosen_by_target": f"{_READING}.views.targets:chosen_by_target",
        "target_of": f"{_READING}.views.columns_whole:target_of",
        "folds": f"{_READING}.views.parts:folds",
        "nested_folds": f"{_READING}.views.parts:nested_folds",
        "at_epoch": f"{_READING}.views.epochs:at_epoch",
        "to_arrow": f"{_READING}.convert.arrow:to_arrow",
        "arrow_reader": f"{_READING}.convert.arrow:arrow_reader",
        "to_hf": f"{_READING}.convert.huggingface:to_hf",
        "to_numpy": f"{_READING}.convert.numpy:to_numpy",
        "to_pandas": f"{_READING}.convert.pandas:to_pandas",
        "to_sklearn": f"{_READING}.convert.sklearn:to_sklearn",
        "to_torch": f"{_READING}.convert.torch:to_torch",
    }
)
"""The functions that a view's methods call: splits, fitting, conversions."""


def operation(name: str) -> Callable[[Kind], Kind]:
    """Register a kind of view under a name, so that stacks with it can be written as JSON and read back.

    Raises `UsageError` if the name is in use.
    """

    def named(kind: Kind) -> Kind:
        if name in OPERATIONS:
            raise UsageError(
                f"The name {name!r} already belongs to the operation {OPERATIONS[name].__qualname__}. Choose another."
            )
        OPERATIONS[name] = kind
        kind.op = name
        return kind

    return named

"""A bad sample: what a split's function yields in place of one that it could not make."""

from dataclasses import dataclass, field

from dataset_assets.errors import DatasetAssetsError


@dataclass(frozen=True)
class BadSample:
    """Why there is no sample, and what it is from, such as the name of a file: `yield BadSample(error, member.name)`.

    With `Dataset(on_error="skip")` or a limit it is left out and listed; otherwise it stops the making of the split.
    """

    why: object
    source: str = ""
    error: DatasetAssetsError | None = field(default=None, repr=False)
    """What is raised where bad samples are not left out; None: a `SchemaError` that says why."""

    def __post_init__(self) -> None:
        # An error may not be one that another process can send.
        if isinstance(self.why, BaseException):
            object.__setattr__(self, "why", str(self.why) or type(self.why).__name__)

"""The paths of the files that the samples of a folder or an archive are made of, for messages."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from dataset_assets.decoding import archive_members
from dataset_assets.definition.plain_splits import file_samples, is_junk
from dataset_assets.definition.split import Split
from dataset_assets.errors import SchemaError, at


class SamplePaths:
    """Says which file a sample of a split of files is. They are listed when the first one is asked for."""

    def __init__(self, defined: Split, opened: Mapping[str, Any], plain: bool = True) -> None:
        """`plain` says that no sample is left out on request, so that the samples written are numbered as the files."""
        self.defined, self.opened, self.is_plain = defined, opened, plain

    def __call__(self, sample: int) -> str:
        """Return the path of a sample in its folder or archive; empty if it is not known."""
        return self._paths[sample] if sample < len(self._paths) else ""

    @contextmanager
    def named(self) -> Iterator[None]:
        """Put the path of a sample before the error that it does not fit its stream."""
        try:
            yield
        except SchemaError as error:
            if not self.is_plain or error.sample is None or not (path := self(error.sample)):
                raise
            with at(path):
                raise

    @cached_property
    def _paths(self) -> list[str]:
        if self.defined.function is not file_samples:
            return []
        plain = self.defined.plain
        below = f"{plain['below']}/" if plain["below"] else ""
        members = archive_members(
            self.opened["archive"], plain["members"], below=plain["below"], unwrap=plain["unwrap"]
        )
        return [f"{below}{member.name}" for member in members if not is_junk(member.name)]

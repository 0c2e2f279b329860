"""The roles of streams: which is the sample, the target, the tag, or has a role of the author's own."""

from typing import Mapping

from dataset_assets.core.frozen import FrozenMapping


class Roles(FrozenMapping[str]):
    """The stream of each role: the fields set those of sample, target and tag; `further` holds all others."""

    def __init__(self, fields: Mapping[str, str | None], further: Mapping[str, str]) -> None:
        self.further = {role: stream for role, stream in further.items() if role not in fields}
        named = {role: stream for role, stream in fields.items() if stream is not None}
        super().__init__(self.further | named)

"""The splits of a dataset, by name."""

from typing import Mapping, NoReturn

from dataset_assets.reading.views import View
from dataset_assets.storage.manifest import check_split


class Splits(dict[str, View]):
    """The views of the splits of a dataset. A name that it does not have raises `UnknownSplit`."""

    def __init__(self, dataset: str, views: Mapping[str, View]) -> None:
        super().__init__(views)
        self.dataset = dataset

    def __missing__(self, split: str) -> NoReturn:
        check_split(self.dataset, split, self)
        raise AssertionError("it was there")

"""Links: files of other datasets as arguments, by the names of the dataset and the file."""

from dataclasses import dataclass

from dataset_assets.core.names import check_dataset_name
from dataset_assets.definition.file_checks import check_file_identifier


@dataclass(frozen=True)
class FileOf:
    """A raw file of another dataset, or a derived file that it keeps, as an argument: the function gets it open.

    It is the file that the released version of that dataset is made of. `file` is its identifier, as `info` shows it.

    >>> FileOf("com.lecun.mnist", "train_images_idx3_ubyte_gz").file
    'train_images_idx3_ubyte_gz'
    """

    dataset: str
    file: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "dataset", check_dataset_name(self.dataset))
        check_file_identifier(self.file)

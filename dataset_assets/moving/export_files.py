"""Writes views as plain files by split and class, and as tars with a file for each stream of a sample."""

import errno
import re
from pathlib import Path
from typing import Any, Iterator, Mapping

from dataset_assets.core.files import Written, make_folder
from dataset_assets.core.progress import report
from dataset_assets.errors import UsageError
from dataset_assets.formats.members import Member
from dataset_assets.moving.bundle_format import filling_of, header_of
from dataset_assets.moving.export_values import Encoded, encoded_view, file_of, plain, plain_text
from dataset_assets.moving.folder_files import checked_path
from dataset_assets.reading.views import View

SHARD_BYTES = 1 << 30
METADATA = "metadata.jsonl"


def write_files(views: Mapping[str, View], root: Path) -> None:
    """Write each picture, sound and file below `SPLIT/CLASS`, and all other streams into `SPLIT/metadata.jsonl`."""
    for split, view in views.items():
        found = encoded_view(view)
        ours = [name for name, kind in found.kinds.items() if kind != "value" and name in view.streams]
        if not ours:
            raise UsageError(
                f"{view.dataset} {split} has no pictures, sounds or files, but {', '.join(view.streams)}. Export it as "
                "parquet."
            )
        make_folder(root / split)
        with Written(root / split / METADATA) as metadata:
            for i, sample in _samples(found, split):
                row = {name: plain(value) for name, value in sample.items() if name not in ours}
                for name in ours:
                    place = _place(view, sample, name, i, "" if len(ours) == 1 else f".{name}")
                    data = file_of(sample[name], found.kinds[name], False)[1]
                    row["file_name" if len(ours) == 1 else f"{name}_file_name"] = _placed(root / split, place, i, data)
                metadata.write(f"{plain_text(row)}\n".encode())


def _place(view: View, sample: Any, stream: str, i: int, suffix: str) -> str:
    value = sample[stream]
    if isinstance(value, Member) and not suffix:
        return checked_path(value.name, view.dataset)
    target = view.roles.get("target")
    names = view.classes.get(target or "", ())
    folder = f"{_plain_name(names[int(sample[target])])}/" if target in sample and names else ""
    return f"{folder}{i:08}{suffix}.{file_of(value, 'image', False)[0]}"


def _placed(root: Path, place: str, i: int, data: bytes) -> str:
    """Write a file, and return its place: below its number, if a file or the metadata has its name already."""
    for free in (place, f"{i:08}/{place}"):
        try:
            (root / free).parent.mkdir(parents=True, exist_ok=True)
            _write(root / free, data)
            return free
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                why = f"The name {place[:80]}... ({len(place)} characters) is too long for a file."
                raise UsageError(f"{why} Export the view as webdataset.") from error
            if error.errno not in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
                raise
    raise UsageError(f"Two files of the export would be {root.name}/{free}. Export the view as webdataset.")


def _plain_name(name: str) -> str:
    return re.sub(r"[^\w .+-]|^\.+$", "_", name) or "_"


def write_tars(views: Mapping[str, View], root: Path) -> None:
    """Write `SPLIT-000000.tar` and so on: a sample is files of one number, `000000007.image.jpg`."""
    for split, view in views.items():
        found, shard = encoded_view(view), Shards(root, split)
        for i, sample in _samples(found, split):
            for name, value in sample.items():
                suffix, data = file_of(value, found.kinds.get(name, "value"), name in view.classes)
                shard.add(f"{i:09}.{name}.{suffix}", data)
            shard.end_sample()
        shard.close()


class Shards:
    """Tars of at most about 1 GiB. Equal samples give equal bytes."""

    def __init__(self, root: Path, split: str) -> None:
        self.root, self.split, self.count, self.file = root, split, 0, self._opened(root, split, 0)

    def _opened(self, root: Path, split: str, number: int) -> Written:
        return Written(root / f"{split}-{number:06}.tar")

    def add(self, name: str, data: bytes) -> None:
        """Add a file to the tar."""
        self.file.write(header_of(name, len(data)) + data + filling_of(len(data)))

    def end_sample(self) -> None:
        """Begin a new tar if this one is full: a sample is never in two."""
        if self.file.bytes >= SHARD_BYTES:
            self.close()
            self.count += 1
            self.file = self._opened(self.root, self.split, self.count)

    def close(self) -> None:
        """Finish the tar."""
        self.file.write(bytes(1024))
        self.file.close()


def _samples(found: Encoded, split: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    total = len(found.view)
    for i, sample in enumerate(found.view):
        if not isinstance(sample, Mapping):
            raise UsageError("Samples that are not mappings have no streams to export. Export the view without tuples.")
        yield i, sample
        report(split, i + 1, total)


def _write(path: Path, data: bytes) -> None:
    file = Written(path)
    try:
        file.write(data)
    finally:
        file.discard()

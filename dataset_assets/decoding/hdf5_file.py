"""Reads HDF5 files with h5py, which is imported on use: arrays of equal length, in blocks of rows."""

import math
from contextlib import contextmanager
from typing import Any, BinaryIO, Iterator, Sequence

from dataset_assets.core.extras import needed
from dataset_assets.core.limits import SMALL, limits, remedy
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.npy_file import BLOCK, SELECT_OTHERS, check_empty_rows, different_lengths
from dataset_assets.decoding.streams import RETRIEVE_AGAIN, check_file, name_of
from dataset_assets.errors import DecodeError, Refused, nearest
from dataset_assets.formats.columns import Columns

_TEXTS = 1024


def hdf5(file: BinaryIO, *, arrays: Sequence[str] | None = None) -> Iterator[Columns]:
    """Read the arrays of an HDF5 file together, in blocks of about 8 MB; texts are lists of `str`.

    A column has the path of its array, such as `train/x`; `arrays` selects some. All must have the same number of rows.
    Raises `DecodeError` for a file that is damaged or cut, and for an array of other values; `Refused` for one whose
    data is in another file. `pip install 'dataset_assets[hdf5]'` installs h5py.
    """
    check_file(file)
    h5py = needed("h5py", "hdf5")
    file.seek(0)
    with _refused(file), h5py.File(decompressed(file), "r") as opened:
        known = dict(_arrays(file, opened, ""))
        for array in arrays or ():
            if array not in known:
                raise DecodeError(f"{name_of(file)} has no array {array!r}.{nearest(array, known)}")
        chosen = {array: _checked(array, known[array], h5py) for array in (known if arrays is None else arrays)}
        lengths = {array: one.shape[0] for array, one in chosen.items()}
        if len({*lengths.values()}) > 1:
            raise different_lengths(lengths, name_of(file))
        check_empty_rows(name_of(file), next(iter(lengths.values()), 0), _row_bytes(chosen))
        step = _step(chosen)
        for lo in range(0, next(iter(lengths.values()), 0), step):
            yield Columns({array: _rows(one, lo, lo + step, h5py) for array, one in chosen.items()})


def hdf5_arrays(file: BinaryIO) -> list[str]:
    """Return the paths of the arrays of an HDF5 file. Raises `DecodeError` and `Refused`."""
    check_file(file)
    h5py = needed("h5py", "hdf5")
    file.seek(0)
    with _refused(file), h5py.File(decompressed(file), "r") as opened:
        return [path for path, _ in _arrays(file, opened, "")]


def _arrays(file: BinaryIO, group: Any, above: str) -> Iterator[tuple[str, Any]]:
    """Yield the path and the array of all arrays of a file."""
    h5py = needed("h5py", "hdf5")
    for name in group:
        path, link = f"{above}{name}", group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise Refused(f"{name_of(file)} has a link {path!r}, which is not followed. Store the array itself.")
        item = group[name]
        if isinstance(item, h5py.Group):
            yield from _arrays(file, item, f"{path}/")
        elif isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise Refused(f"The data of {path!r} in {name_of(file)} is in another file. Store the array itself.")
            yield path, item


def _checked(name: str, array: Any, h5py: Any) -> Any:
    text = h5py.check_string_dtype(array.dtype)
    if array.dtype.kind not in "biufc" and (text is None or len(array.shape) != 1):
        raise DecodeError(f"The array {name!r} holds {array.dtype}. {SELECT_OTHERS}")
    if not array.shape:
        raise DecodeError(f"The array {name!r} is a single value, and has no rows. {SELECT_OTHERS}")
    row = array.dtype.itemsize * math.prod(array.shape[1:])
    most = limits()
    for size, setting in ((row, "max_value_bytes"), (row * array.shape[0], "max_decoded_bytes")):
        if size > max(getattr(most, setting), SMALL):
            raise DecodeError(
                f"The array {name!r} has {size} bytes{' a row' if size == row else ''}. {remedy(setting)}"
            )
    return array


def _row_bytes(arrays: dict[str, Any]) -> int:
    return sum(one.dtype.itemsize * math.prod(one.shape[1:]) for one in arrays.values())


def _step(arrays: dict[str, Any]) -> int:
    """Return how many rows are read at once: whole chunks of the file where they are small."""
    most = max(1, BLOCK // max(1, _row_bytes(arrays)))
    chunk: int = max((one.chunks[0] for one in arrays.values() if one.chunks), default=1)
    return min(_TEXTS, most) if any(one.dtype.kind in "OS" for one in arrays.values()) else max(most - most % chunk, 1)


def _rows(array: Any, lo: int, hi: int, h5py: Any) -> Any:
    return [*array.asstr()[lo:hi]] if h5py.check_string_dtype(array.dtype) else array[lo:hi]


@contextmanager
def _refused(file: BinaryIO) -> Iterator[None]:
    """Raise `DecodeError` for what h5py cannot read."""
    try:
        yield
    except (DecodeError, Refused):
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        said = str(error).partition("\n")[0]
        raise DecodeError(f"{name_of(file)} cannot be read as HDF5: {said[:300]}. {RETRIEVE_AGAIN}") from error

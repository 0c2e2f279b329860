"""ICBM 152: the mean of 152 brains, slice by slice, with the grey and the white matter."""

from typing import Any, BinaryIO, Iterator

import numpy as np

from dataset_assets import Array, Dataset, Split
from dataset_assets.datasets.published import member, published
from dataset_assets.decoding import decompressed
from dataset_assets.errors import DecodeError

SHAPE = (197, 233, 189)
"""The size in x, y and z; x varies fastest in the file, and each voxel is a cube of 1 mm."""
PIXELS = (SHAPE[1], SHAPE[0])
KINDS = ("other", "grey matter", "white matter")
HALF = 128
"""A voxel is of a kind of matter if at least half of it is, in 255ths."""
HEADER = np.dtype(
    [("size", "<i4"), ("", "V36"), ("dim", "<i2", 8), ("", "V14"), ("type", "<i2"), ("", "V36"), ("offset", "<f4"),
     ("", "V232"), ("magic", "S4")]
)  # fmt: skip


def slices(wheel: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield each slice from the lowest: the picture, and 1 where the brain is grey, 2 where it is white, else 0."""
    brain, grey, white = (_volume(wheel, kind) for kind in ("t1", "gm", "wm"))
    for height in range(SHAPE[2]):
        picture, of_grey, of_white = (_slice(volume) for volume in (brain, grey, white))
        mask = np.where(of_grey >= HALF, 1, 0).astype(np.uint8)
        mask[(of_white >= HALF) & (of_white > of_grey)] = 2
        yield {"picture": picture, "mask": mask, "height": height}


def _volume(wheel: BinaryIO, kind: str) -> BinaryIO:
    """Open a NIfTI file of bytes at its first slice."""
    path = f"nilearn/datasets/data/mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
    volume = decompressed(member(wheel, path))
    data = volume.read(HEADER.itemsize + 4)
    header = np.frombuffer(data[: HEADER.itemsize], HEADER)[0] if len(data) > HEADER.itemsize else None
    expected = (348, (3, *SHAPE), 2, 352.0)
    if header is None or (header["size"], (*header["dim"][:4],), header["type"], header["offset"]) != expected:
        raise DecodeError(f"{path} is not a NIfTI file of {SHAPE} bytes. Check what its source is.")
    return volume


def _slice(volume: BinaryIO) -> Any:
    data = volume.read(PIXELS[0] * PIXELS[1])
    if len(data) != PIXELS[0] * PIXELS[1]:
        raise DecodeError(f"A volume ends within a slice, after {len(data)} bytes of it. Retrieve the file again.")
    return np.frombuffer(data, np.uint8).reshape(PIXELS)


mni152 = Dataset(
    name="ca.mcgill.bic.mni152",
    summary="189 slices of the mean MRI of 152 brains, 233 x 197 grey pixels, with masks of grey and white matter.",
    streams={
        "picture": Array("uint8", PIXELS),
        "mask": Array("uint8", PIXELS, classes=KINDS),
        "height": Array("uint8"),
    },
    splits={
        "all": Split(
            slices,
            # PyPI states the digest: https://pypi.org/project/nilearn/0.14.1/#files
            wheel=published(
                "9e/4f/6d93620cf4c7f642a8fb85fef8b6e30a24764ef99774026550291dea6fdd/nilearn-0.14.1-py3-none-any.whl",
                "725206484e9fb3f6691f9c2d20204a068759d5072f12055324702ee0cb2bbe8a",
            ),
        )
    },
    sample="picture",
    target="mask",
    license="free to use, copy, modify and distribute if the copyright notice of its authors is kept",
    citation=(
        "V. Fonov, A. C. Evans, K. Botteron, C. R. Almli, R. C. McKinstry, D. L. Collins. Unbiased average "
        "age-appropriate atlases for pediatric studies. NeuroImage 54(1), 2011. Carried by nilearn 0.14.1."
    ),
    homepage="https://www.bic.mni.mcgill.ca/ServicesAtlases/ICBM152NLin2009",
    tags=("image", "medicine", "brain", "masks"),
    tasks=("segmentation",),
)

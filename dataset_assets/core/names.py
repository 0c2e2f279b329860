"""Names of datasets, splits, streams and files, and how they become asset keys and storage keys.

The name of a dataset is lower-case words joined by dots; splits and streams are identifiers. No part begins or ends
with an underscore or has two in a row: Dagster joins the parts of a key with two, and different keys must stay
different. A member of a family has its axes in brackets behind the name of the family, and lies below `variants`, in a
folder that is named by their digest.
"""

import os
import re
from functools import lru_cache
from typing import Iterable

from dataset_assets.core import selectors
from dataset_assets.core.commands import command
from dataset_assets.core.redact import redacted
from dataset_assets.errors import NameNotAllowed

RESERVED: dict[str, frozenset[str]] = {
    "first part of a dataset's name": frozenset({"experiments", "values", "aliases"}),
    "last part of a dataset's name": frozenset({"raw", "versions", "meta", "variants"}),
    "split": frozenset({"raw", "versions", "meta", "variants"}),
    "stream": frozenset({"index", "parts", "versions"}),
}
"""The words that are folders of a storage, by the level at which they cannot be names. Case does not matter."""

SHARED = "shared"
"""The first part of the name of a dataset that was given one word."""

LONGEST = 200
LONGEST_MEMBER = 400
VARIANTS = "variants"
"""The folder of a family's members."""

_WORD = r"[a-z0-9]+(?:_[a-z0-9]+)*"
_QUALIFIED = re.compile(rf"{_WORD}(?:\.{_WORD})+")
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_dataset_name(name: str) -> str:
    """Return the name if it is a qualified name such as `com.lecun.mnist`; raise `NameNotAllowed` otherwise.

    The name of a member of a family is returned in its canonical form.

    >>> check_dataset_name("org.example.reviews[size=small,lang=fr]")
    'org.example.reviews[lang=fr,size=small]'
    """
    if isinstance(name, str) and name.endswith("]") and "[" in name:
        return _checked_member(name)
    if not is_qualified(name):
        raise NameNotAllowed(
            f"{_shown(name)} is not a qualified name. Write two or more words of a-z, 0-9 and single underscores, "
            "joined by dots, as in com.lecun.mnist."
        )
    _check_short(name)
    parts = name.split(".")
    _check_free(parts[0], "first part of a dataset's name")
    _check_free(parts[-1], "last part of a dataset's name")
    return name


def said_place(name: str) -> str:
    """Return what to do with a name that is rather a URL, or the path of a file or folder; "" for any other.

    >>> said_place("https://example.org/birds.csv")
    "https://example.org/birds.csv is a URL. Make a dataset of it: prepare(dataset_from('https://example.org/birds.csv'))."
    """
    if not ("://" in name or os.path.exists(name)):
        return ""
    what, place = "URL" if "://" in name else "file or folder", redacted(name)[:200]
    return f"{place} is a {what}. Make a dataset of it: prepare(dataset_from({place!r}))."


def is_qualified(name: object) -> bool:
    """Say whether a name is words joined by dots; it may be too long or have a reserved word."""
    return isinstance(name, str) and bool(_QUALIFIED.fullmatch(name))


def _checked_member(name: str) -> str:
    family, axes = split_member(name)
    canonical = check_dataset_name(family) + selectors.spelled(axes)
    if len(canonical) > LONGEST_MEMBER:
        raise NameNotAllowed(f"{_shown(name)} is longer than {LONGEST_MEMBER} characters. Choose shorter values.")
    return canonical


def split_member(name: str) -> tuple[str, dict[str, str]]:
    """Split the name of a member into its family and its axes, which are empty for any other name.

    >>> split_member("org.example.reviews[lang=fr]"), split_member("com.lecun.mnist")
    (('org.example.reviews', {'lang': 'fr'}), ('com.lecun.mnist', {}))
    """
    family, bracket, rest = name.partition("[")
    return family, selectors.parsed(bracket + rest) if bracket else {}


def is_member(name: str) -> bool:
    """Say whether a name has axes."""
    return "[" in name


def is_folder_name(name: str) -> bool:
    """Say whether a name is that of a member's folder, as a listing shows it: its axes are in its documents only.

    >>> is_folder_name(plain_name("org.example.reviews[lang=fr]"))
    True
    """
    parts = name.split(".")
    return len(parts) > 3 and parts[-2] == VARIANTS and bool(_DIGEST.fullmatch(parts[-1]))


def plain_name(name: str) -> str:
    """Return the folders of a dataset joined by dots: its name, except for a member of a family."""
    return ".".join(key_parts(name)) if "[" in name else name


def namesakes(name: object, names: Iterable[str]) -> str:
    """Return the end of a message: the qualified names that end in a name without its first parts.

    >>> namesakes("mnist", ["com.lecun.mnist", "org.example.numbers"])
    ' Did you mean com.lecun.mnist?'
    """
    found = sorted(known for known in names if isinstance(name, str) and known.endswith(f".{name.lower()}"))
    return f" Did you mean {' or '.join(found[:5])}?" if found else ""


def check_identifier(name: str, what: str) -> str:
    """Return the name of a split or stream (`what`) if it is allowed; raise `NameNotAllowed` otherwise."""
    if not isinstance(name, str) or not _IDENTIFIER.fullmatch(name):
        raise NameNotAllowed(
            f"{_shown(name)} cannot be the name of a {what}. Start with a letter, then use letters, digits and single "
            "underscores between them."
        )
    _check_short(name)
    _check_free(name, what)
    return name


def identifier_from(text: str, what: str) -> str:
    """Return an identifier for any text: its letters and digits, with `_` for all others; `what` before what is none.

    >>> identifier_from("Petal width (cm)", "column"), identifier_from("2020", "split"), identifier_from("raw", "split")
    ('Petal_width_cm', 'split_2020', 'split_raw')
    """
    words = "_".join(re.findall(r"[A-Za-z0-9]+", str(text)))[: LONGEST - len(what) - 1].rstrip("_")
    reserved = frozenset[str]().union(RESERVED["split"], RESERVED["stream"])
    free = _IDENTIFIER.fullmatch(words) and words.lower() not in reserved
    return words if free else f"{what}_{words}".rstrip("_")


def file_identifier(text: str) -> str:
    """Return the identifier of a raw file: the last part of its name or URL, with `_` for all other characters.

    >>> file_identifier("https://example.org/mnist/train-images-idx3-ubyte.gz?raw=1")
    'train_images_idx3_ubyte_gz'
    """
    last = re.split(r"[?#]", str(text), maxsplit=1)[0].rstrip("/").rsplit("/", 1)[-1]
    identifier = "_".join(re.findall(r"[A-Za-z0-9]+", last))
    if not identifier or len(identifier) > LONGEST:
        raise NameNotAllowed(f"No identifier can be made from {_shown(text)}. Pass identifier= for the file.")
    return identifier


def split_pin(name: str, storage: str = "") -> tuple[str, str | None]:
    """Split `name@digest` into its parts; the digest is 64 hex digits, with or without `sha256:`.

    The command in an error names the storage with this URL. Raises `NameNotAllowed`.

    >>> split_pin("com.lecun.mnist")
    ('com.lecun.mnist', None)
    """
    plain, at, digest = cut_pin(name) if isinstance(name, str) else (name, "", "")
    plain = check_dataset_name(plain)
    if not at:
        return plain, None
    digest = digest.removeprefix("sha256:")
    if not _DIGEST.fullmatch(digest):
        raise NameNotAllowed(
            f"{_shown(digest)} is not the digest of a version. Write {plain}@ and the 64 hex digits that are listed "
            f"by: {command(f'versions {plain}', storage)}"
        )
    return plain, digest


def cut_pin(name: str) -> tuple[str, str, str]:
    """Cut a name at the `@` of its digest, without a check of either part. An `@` in the value of an axis is no pin.

    >>> cut_pin("org.example.mails[to=a@b]@0f"), cut_pin("com.lecun.mnist")
    (('org.example.mails[to=a@b]', '@', '0f'), ('com.lecun.mnist', '', ''))
    """
    member, bracket, rest = name.rpartition("]")
    plain, at, digest = rest.partition("@")
    return member + bracket + plain, at, digest


def key_parts(dataset: str, *rest: str) -> tuple[str, ...]:
    """Return the parts of an asset key, which are also the folders of a storage key.

    >>> key_parts("com.lecun.mnist", "train", "image")
    ('com', 'lecun', 'mnist', 'train', 'image')
    """
    return (*_folders(dataset), *rest)


@lru_cache(4096)
def _folders(dataset: str) -> tuple[str, ...]:
    family, axes = split_member(dataset)
    return (*family.split("."), *((VARIANTS, selectors.folder_of(axes)) if axes else ()))


def storage_key(dataset: str, *rest: str) -> str:
    """Return a storage key below a dataset.

    >>> storage_key("com.lecun.mnist", "train", "image")
    'com/lecun/mnist/train/image'
    """
    return "/".join(key_parts(dataset, *rest))


def prefix_clash(names: list[str]) -> tuple[str, str] | None:
    """Return two names where one is a prefix of the other, compared part by part, or None.

    >>> prefix_clash(["com.lecun.mnist", "com.lecun.mnist.small"])
    ('com.lecun.mnist', 'com.lecun.mnist.small')
    """
    ordered = sorted(name.split(".") for name in names)
    for shorter, longer in zip(ordered, ordered[1:]):
        if longer[: len(shorter)] == shorter and longer != shorter:
            return ".".join(shorter), ".".join(longer)
    return None


def _shown(name: object) -> str:
    text = repr(name)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def _check_short(name: str) -> None:
    if len(name) > LONGEST:
        raise NameNotAllowed(f"{_shown(name)} is longer than {LONGEST} characters. Choose a shorter name.")


def _check_free(name: str, what: str) -> None:
    reserved = RESERVED.get(what, frozenset())
    if name.lower() in reserved:
        place = what if "part" in what else f"name of a {what}"
        raise NameNotAllowed(f"{name} is reserved and cannot be the {place}. Reserved: {', '.join(sorted(reserved))}.")

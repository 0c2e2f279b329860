"""Checks the sources of files: is each URL there, and does it still have what was retrieved? Nothing is downloaded.

Hosts are asked side by side, each by a few connections. No terms are asked for, and nothing is written.
"""

from dataclasses import asdict, dataclass
from typing import Any, Iterable, Literal, Mapping
from urllib.parse import urlsplit

from dataset_assets.core.redact import printable, redacted, redacted_text
from dataset_assets.core.settings import settings
from dataset_assets.definition.dataset import Dataset, RemoteFile
from dataset_assets.definition.registry import definitions, find, matching
from dataset_assets.definition.remote_file import is_partitioned
from dataset_assets.errors import DatasetAssetsError, RetrievalError, UsageError
from dataset_assets.making.by_host import asked_by_host
from dataset_assets.making.patterns import with_files
from dataset_assets.making.raw_files import meant_raw
from dataset_assets.retrieval.on_this_machine import SCHEMES, file_of, is_unchanged
from dataset_assets.retrieval.retriever import Look, Looking, retriever_for
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.raw_files import RawFile
from dataset_assets.storage.stored_dataset import StoredDataset

Status = Literal["ok", "skipped", "changed", "failed", "error"]

EXIT_CODES: Mapping[Status, int] = {"ok": 0, "skipped": 0, "changed": 4, "failed": 5, "error": 1}
"""The exit code of each status, the worst one last; an `error` has that of its class."""

_RANKS = [*EXIT_CODES]


@dataclass(frozen=True)
class CheckedUrl:
    """What a URL of a file answered. `url` is `redacted`."""

    url: str
    status: Status
    message: str = ""
    code: int = 0


@dataclass(frozen=True)
class CheckedFile:
    """The state of a file's sources: that of the first URL that has the file, else that of the worst."""

    dataset: str
    file: str
    urls: tuple[CheckedUrl, ...]

    @property
    def _decides(self) -> CheckedUrl:
        there = (url for url in self.urls if url.status in ("ok", "changed"))
        return next(there, None) or max(self.urls, key=lambda url: _RANKS.index(url.status))

    @property
    def status(self) -> Status:
        """`ok`, `changed`, `failed` (no URL has it), `skipped` (not asked) or `error` (could not be asked)."""
        return self._decides.status

    @property
    def message(self) -> str:
        """What is wrong; of a file that is there, which mirrors have failed."""
        bad = [url.message for url in self.urls if url.status in ("failed", "error")]
        return " ".join(filter(None, [self._decides.message, *(bad if self.status in ("ok", "changed") else ())]))

    @property
    def code(self) -> int:
        """The exit code of its status."""
        return self._decides.code

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        urls = [{name: value for name, value in asdict(url).items() if name != "code"} for url in self.urls]
        fields = {"dataset": self.dataset, "file": self.file, "status": self.status, "message": self.message}
        return {**fields, "urls": urls}


def worst_code(checked: Iterable[CheckedFile]) -> int:
    """Return the exit code of the worst file: that of an error, else 5 for failed, 4 for changed, 0 for the others."""
    worst = max(checked, key=lambda one: (_RANKS.index(one.status), one.code), default=None)
    return worst.code if worst else 0


def check_sources(
    *what: "str | Dataset", storage: "str | Storage | None" = None, files: Iterable[str] = ()
) -> list[CheckedFile]:
    """Ask every URL of the files of some datasets, or only of the `files` with these identifiers.

    `what` are definitions, their names, or patterns such as `com.lecun.*`; without any, all definitions. The members of
    a family count only if they are named, or as `name[*]`. A file is `changed` if its source has a different ETag, time
    or size than the retrieval recorded in the storage, or not the size that the definition declares. What fails is in
    the result. Raises `UnknownDataset` for a name that is unknown.
    """
    store = open_storage(settings().storage if storage is None else storage)
    only, datasets = {*files}, {dataset.name: dataset for one in what or ("*",) for dataset in _meant(one, store)}
    asked = [
        (stored, file)
        for stored, dataset in ((StoredDataset(store, one.name), one) for one in datasets.values())
        for name, file in with_files(dataset, stored).remote_files.items()
        # One that stands for many is no file itself.
        if (not only or name in only) and not is_partitioned(file)
    ]
    found = iter(_asked([(url, file, stored) for stored, file in asked for url in file.urls]))
    return [CheckedFile(stored.name, file.identifier, tuple(next(found) for _ in file.urls)) for stored, file in asked]


def _meant(one: "str | Dataset", storage: Storage) -> list[Dataset]:
    if isinstance(one, Dataset):
        return [one]
    if not isinstance(one, str):
        raise UsageError(f"{one!r} is not a dataset. Give one, its name, or a pattern: check_sources('com.lecun.*').")
    if "*" not in one:
        return [find(one, storage)]
    return definitions() if one == "*" else matching(one)


_Question = tuple[str, RemoteFile, StoredDataset]


def _asked(questions: list[_Question]) -> list[CheckedUrl]:
    """Answer questions in their order."""
    return asked_by_host([url for url, _, _ in questions], lambda number: _check(*questions[number]))


def _check(url: str, file: RemoteFile, stored: StoredDataset) -> CheckedUrl:
    shown = redacted(url)
    try:
        if settings().offline and urlsplit(url).scheme not in SCHEMES:
            return CheckedUrl(shown, "skipped", "The setting offline is on.")
        retriever = retriever_for(url)
        if not isinstance(retriever, Looking):
            return CheckedUrl(shown, "skipped", f"{shown}: its retriever cannot ask without downloading.")
        raw = meant_raw(stored, file)
        changed = _change(retriever.look(url), file, raw, raw is not None and raw.source.url == shown)
        # A file on this machine that was only copied or touched has a new time, but the same bytes.
        if changed and raw and (path := file_of(url)) and is_unchanged(path, raw.sha256):
            changed = ""
    except RetrievalError as error:
        return CheckedUrl(shown, "failed", _text(error, url), error.exit_code)
    except DatasetAssetsError as error:
        return CheckedUrl(shown, "error", _text(error, url), error.exit_code)
    except Exception as error:  # a plugin's
        return CheckedUrl(shown, "error", f"{shown}: {type(error).__name__}: {_text(error, url)}", EXIT_CODES["error"])
    if changed:
        return CheckedUrl(shown, "changed", f"{shown} {changed}.", EXIT_CODES["changed"])
    return CheckedUrl(shown, "ok")


def _text(error: Exception, url: str) -> str:
    """Return the message of an error, without the secrets that a plugin may put in it."""
    return redacted_text(str(getattr(error, "strerror", None) or error).replace(url, redacted(url)))


def _change(seen: Look, file: RemoteFile, raw: RawFile | None, same_url: bool) -> str:
    """Return how a source differs from what was declared or retrieved; "" if it does not, or does not say."""
    if file.size is not None and seen.bytes not in (None, file.size):
        return f"has {seen.bytes} bytes, not {file.size} as defined"
    if raw is None:
        return ""
    if seen.bytes not in (None, raw.bytes):
        return f"has {seen.bytes} bytes; {raw.bytes} were retrieved"
    known = raw.source
    if same_url and known.etag and seen.etag:
        same = seen.etag.removeprefix("W/") == known.etag.removeprefix("W/")
        return "" if same else f"has the ETag {printable(seen.etag)[:80]}; {printable(known.etag)[:80]} was recorded"
    if same_url and known.last_modified and seen.last_modified not in (None, known.last_modified):
        return (
            f"was changed {printable(seen.last_modified)[:40]}, not {printable(known.last_modified)[:40]}, as recorded"
        )
    return ""

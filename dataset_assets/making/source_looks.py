"""Looks at the sources of files without downloading them: what do they say that tells one content from another?"""

from typing import Iterable, Mapping
from urllib.parse import urlsplit

from dataset_assets.core.redact import redacted
from dataset_assets.core.settings import settings
from dataset_assets.definition.remote_file import RemoteFile
from dataset_assets.errors import RetrievalError
from dataset_assets.making.by_host import asked_by_host
from dataset_assets.retrieval.on_this_machine import SCHEMES
from dataset_assets.retrieval.retriever import Look, Looking, retriever_for


def look_at(files: Iterable[RemoteFile]) -> Mapping[str, Look]:
    """Return what the first source that answers says of each file. Raises `RetrievalError` if none of a file does.

    Of a source that cannot be asked without a download nothing is known.
    """
    given = [*files]
    found = asked_by_host([file.urls[0] for file in given], lambda number: _look(given[number]))
    return {file.identifier: look for file, look in zip(given, found)}


def _look(file: RemoteFile) -> Look:
    failed: RetrievalError | None = None
    for url in file.urls:
        retriever = retriever_for(url)
        if not isinstance(retriever, Looking):
            continue
        if settings().offline and urlsplit(url).scheme not in SCHEMES:
            failed = RetrievalError(f"{redacted(url)} was not asked: the setting `offline` is on. Switch it off.")
            continue
        try:
            return retriever.look(url)
        except RetrievalError as error:
            failed = error
    if failed:
        raise failed
    return Look()

"""Asks many URLs side by side: each host by few connections, one question after the other."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Callable, Iterable, Sequence, TypeVar
from urllib.parse import urlsplit

from dataset_assets.definition.dataset import RemoteFile
from dataset_assets.retrieval.on_this_machine import SCHEMES
from dataset_assets.storage.raw_files import RawFile

T = TypeVar("T")

CONNECTIONS = 32
TO_A_HOST = 4


def asked_by_host(urls: Sequence[str], answer: Callable[[int], T]) -> list[T]:
    """Return the answer for the number of each URL, in their order. After an error no further question is asked."""
    hosts: dict[str, list[int]] = {}
    for number, url in enumerate(urls):
        hosts.setdefault(host_of(url), []).append(number)
    turns = [numbers[k::TO_A_HOST] for numbers in hosts.values() for k in range(min(TO_A_HOST, len(numbers)))]
    found: dict[int, T] = {}
    stopped = Event()

    def ask(numbers: list[int]) -> None:
        try:
            for number in numbers:
                if not stopped.is_set():
                    found[number] = answer(number)
        except BaseException:
            stopped.set()
            raise

    with ThreadPoolExecutor(min(CONNECTIONS, len(turns) or 1)) as pool:
        try:
            [*pool.map(ask, turns)]
        finally:
            stopped.set()
    return [found[number] for number in range(len(urls))]


def host_of(url: str) -> str:
    """Return the host of a URL, which counts as one place to ask; "" for what has none."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def is_far(file: RemoteFile) -> bool:
    """Return True if a file may come from another machine."""
    return any(urlsplit(url).scheme not in SCHEMES for url in file.urls)


def urls_of(raws: Iterable[RawFile]) -> str:
    """Return the servers' URLs of files, for a message; a file on this machine is looked at without a command."""
    found = [raw.source.url or raw.url for raw in raws]
    urls = [url for url in found if url.partition(":")[0] not in SCHEMES]
    return f"{', '.join(urls[:3])}{' or others' if len(urls) > 3 else ''}"

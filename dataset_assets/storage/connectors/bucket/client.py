"""Requests to a bucket by obstore, and the decorator that makes a method one request."""

import os
import time
from datetime import timedelta
from functools import lru_cache, partial, wraps
from typing import Any, Callable, Concatenate, ParamSpec, Protocol, TypeVar

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from dataset_assets.core.interruptible import interruptibly
from dataset_assets.errors import StoreDenied
from dataset_assets.storage.connectors.bucket.address import Bucket
from dataset_assets.storage.connectors.bucket.answers import explained
from dataset_assets.storage.connectors.bucket.fork_client import ForkedBucket
from dataset_assets.storage.patience import silence_seconds, waiting

T = TypeVar("T")
P = ParamSpec("P")
S = TypeVar("S", bound="Requester")

RENEWED_SECONDS = 5.0
"""How long a new client is used before another one may take its place, so that wrong keys do not cost one a request."""
RETRIES = 8

_BACKOFF: Any = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5), "base": 2}
_STORES = {"s3": S3Store, "az": AzureStore, "gs": GCSStore}

# The threads of obstore do not survive a fork: in a child of this process every request would wait for ever.
_used_by: int | None = None
_renewals: dict[Bucket, tuple[int, float]] = {}


class Clients:
    """The clients of obstore for one bucket: one for the credentials of now, and a new one when it is refused."""

    def __init__(self, bucket: Bucket, retries: int, silence: float | None = None) -> None:
        self.bucket, self.retries = bucket, retries
        self.silence = silence_seconds() if silence is None else silence
        self.speaks = False
        """Whether the server ever answered with a listing."""

    def current(self, key: str) -> Any:
        """Return the client for the environment of now. Raises an error of ours if none can be made."""
        return _result(self._explained(key, self._client))

    def renewed(self, client: Any) -> Any:
        """Return a client in place of the one that was refused, or None if that one is new."""
        generation, when = _renewals.get(self.bucket, (0, 0.0))
        if self._client() is client:
            if time.monotonic() < when + RENEWED_SECONDS:
                return None
            _renewals[self.bucket] = generation + 1, time.monotonic()
        return self._client()

    def generation(self) -> int:
        """Return how often the client was renewed."""
        return _renewals.get(self.bucket, (0, 0.0))[0]

    def attempt(self, key: str, act: Callable[[Any], T], client: Any) -> T | Exception:
        """Make a request once, and return its result or an error of ours."""
        # obstore listens to no signal while it waits.
        return self._explained(key, partial(interruptibly, partial(act, client)))

    def forked(self) -> ForkedBucket | None:
        """Return what asks in place of this process if it is a forked child whose parent has used a bucket."""
        if _used_by in (None, os.getpid()):
            return None
        return ForkedBucket(self.bucket.url, self.retries, self.silence, hash(self.bucket.environment()))

    def _explained(self, key: str, act: Callable[[], T]) -> T | Exception:
        # Errors are returned and raised elsewhere: raised in the handler they would carry obstore's, with its secrets.
        try:
            return act()
        except (FileNotFoundError, BaseError) as error:
            return explained(error, self.bucket, key)

    def _client(self) -> Any:
        global _used_by
        _used_by = os.getpid()
        return _made(self.bucket, self.retries, self.silence, hash(self.bucket.environment()), self.generation())


class Requester(Protocol):
    """An object whose methods are requests."""

    clients: Clients

    def client(self, key: str) -> Any:
        """Return the client to ask with."""
        ...

    def forked(self) -> Any:
        """Return the object of the same methods that asks in place of a forked child, or None."""
        ...

    def key_of(self, *args: Any, **kwargs: Any) -> str:
        """Return the key that a request with these arguments is about."""
        ...


def request(
    not_found: Callable[[Any, Exception], Exception] = lambda asker, error: error, *, patient: bool = True
) -> Callable[[Callable[Concatenate[S, Any, P], T]], Callable[Concatenate[S, P], T]]:
    """Make a method one request: `method(self, client, key)` is written, and `self.method(key)` is called.

    * In a forked child the helper process makes the request, by its method of the same name.
    * Ctrl-C ends the wait.
    * Refused credentials are renewed, and the request is made again, once.
    * Errors of obstore become ours. `not_found(self, error)` returns what the answer 404 means.
    * If `patient`, a server that is too busy is asked again for `stall_seconds`.
    """

    def decorate(method: Callable[Concatenate[S, Any, P], T]) -> Callable[Concatenate[S, P], T]:
        @wraps(method)
        def ask(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return waiting(lambda: once(self, *args, **kwargs)) if patient else once(self, *args, **kwargs)

        def once(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            if (other := self.forked()) is not None:
                return getattr(other, method.__name__)(*args, **kwargs)  # type: ignore[no-any-return]
            key = self.key_of(*args, **kwargs)
            outcome = _outcome(self, key, lambda client: method(self, client, *args, **kwargs))
            return _result(not_found(self, outcome) if isinstance(outcome, FileNotFoundError) else outcome)

        return ask

    return decorate


def _outcome(asker: Requester, key: str, act: Callable[[Any], T]) -> T | Exception:
    clients, client = asker.clients, asker.client(key)
    outcome = clients.attempt(key, act, client)
    if isinstance(outcome, StoreDenied) and (renewed := clients.renewed(client)) is not None:
        return clients.attempt(key, act, renewed)
    return outcome


def _result(outcome: T | Exception) -> T:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@lru_cache(maxsize=16)
def _made(bucket: Bucket, retries: int, silence: float, environment: int, generation: int) -> Any:
    """Return the client of an environment; always the same one, because it holds the connections."""
    bucket.check_encrypted()
    # The limit of reading counts the sending of a request too. There is none for a whole answer: a large object is read
    # at the pace of its reader.
    options: Any = {"connect_timeout": timedelta(seconds=min(5.0, silence / 2)), "timeout": "12h"}
    options |= {"read_timeout": timedelta(seconds=silence), "allow_http": bucket.endpoint.startswith("http://")}
    retry: Any = {"backoff": _BACKOFF, "max_retries": retries, "retry_timeout": timedelta(seconds=silence / 2)}
    return _STORES[bucket.scheme](bucket.name, config=bucket.config(), client_options=options, retry_config=retry)

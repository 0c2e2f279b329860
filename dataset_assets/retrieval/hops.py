"""Follows redirects one by one, and sends each server only the secrets that are meant for it.

Cookies are kept per server. The user and password of a URL go only to its own server, and logins of `~/.netrc` and the
setting `headers` only to the hosts that these name. No password is sent to another machine over plain http. The body
of a redirect is not read.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
from requests.utils import get_auth_from_url, get_environ_proxies, get_netrc_auth, requote_uri, select_proxy

from dataset_assets.core.loopback import is_readable_on_the_way
from dataset_assets.core.redact import has_secret, redacted
from dataset_assets.errors import Refused
from dataset_assets.retrieval.hosts import headers_for
from dataset_assets.retrieval.wire import Gate, TooNear
from dataset_assets.retrieval.zones import IN_WORDS, Zone, zone_of_host

Login = tuple[str, str] | None
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9_.-]+)?")


class Hops:
    """Requests a URL and follows its redirects. Closing it closes all connections.

    `own` are headers for the server of the URL alone, such as a token. `via` is the URL of the server that named this
    URL, which then may lead no nearer than a redirect of that server.
    """

    def __init__(
        self,
        url: str,
        adapter: Callable[[Gate], Any],
        redirects: int,
        intranet: bool,
        own: Mapping[str, str] = MappingProxyType({}),
        via: str = "",
    ) -> None:
        self.url, self.adapter, self.redirects, self.intranet = url, adapter, redirects, intranet
        self.own, self.via = own, via
        self.gate = Gate()
        self._sessions: dict[tuple[str, str, int | None], _Session] = {}
        self._open = ExitStack()

    def __enter__(self) -> "Hops":
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def get(
        self, headers: Mapping[str, str], timeout: tuple[float, float], method: str = "GET", form: Any = None
    ) -> requests.Response:
        """Return the first response that is not a redirect; its body is not read yet.

        `form` is what a POST sends to the server of the URL. Raises `Refused` for a redirect that must not be
        followed, and the errors of `requests`.
        """
        self.url = _as_asked(self.url)
        _check_encrypted(self.url)
        url, came_from = self.url, self.via
        reached = zone_of_host(urlsplit(self.via).hostname or "") if self.via else Zone.MACHINE
        for _ in range(self.redirects + 1):
            self._let_through(url, came_from, reached)
            response = self._ask(method, url, headers, timeout, form)
            if isinstance(response, TooNear):
                raise _refused(came_from, url, response.zone, response.address)
            target = self._session(url).target_of(response)
            if target is None:
                return response
            response.close()
            url, came_from, reached = target, url, min(reached, self.gate.zone)
        raise requests.TooManyRedirects

    def _ask(
        self, method: str, url: str, headers: Mapping[str, str], timeout: tuple[float, float], form: Any
    ) -> "requests.Response | TooNear":
        plain, is_first = _without_login(url), _origin(url) == _origin(self.url)
        sent = {**headers, **headers_for(url), **(self.own if is_first else {})}
        login = None if "Authorization" in sent else self._login(url)
        try:
            return self._session(url).request(
                method, plain, headers=sent, auth=login, timeout=timeout, stream=True, data=form if is_first else None
            )
        except TooNear as error:
            return error

    def _let_through(self, url: str, came_from: str, reached: Zone) -> None:
        """Limit the next connection to hosts that are no nearer than `reached`, the farthest zone so far.

        If a proxy makes the connection, the host is checked here.
        """
        self.gate.nearest = max(reached, Zone.PRIVATE) if self.intranet else reached
        proxied = select_proxy(url, get_environ_proxies(url))
        if not proxied:
            return
        self.gate.zone = zone_of_host(urlsplit(url).hostname or "")
        if came_from and self.gate.zone > self.gate.nearest:
            raise _refused(came_from, url, self.gate.zone, "")

    def _session(self, url: str) -> "_Session":
        place = _origin(url)
        if place not in self._sessions:
            session = self._open.enter_context(_Session())
            for scheme in _PORTS:
                session.mount(f"{scheme}://", self.adapter(self.gate))
            self._sessions[place] = session
        return self._sessions[place]

    def _login(self, url: str) -> Login:
        first, here = urlsplit(self.url), urlsplit(url)
        if _origin(url) == _origin(self.url) or _upgrades(first, here):
            return _login_of(self.url) or (None if is_readable_on_the_way(url) else _netrc(url))
        named = first.hostname != here.hostname and not is_readable_on_the_way(url)
        return _named_in_netrc(url) if named else None


class _Session(requests.Session):
    """The connections to one server, and its cookies."""

    def __init__(self) -> None:
        super().__init__()
        # Otherwise requests would search for a login by its own rules.
        self.auth = _as_it_is

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None, so that requests follows no redirect: it would first read the whole body, however long."""

    def target_of(self, response: requests.Response) -> str | None:
        """Return the URL that a response redirects to, or None."""
        try:
            location = super().get_redirect_target(response)
            target = _as_asked(urljoin(response.url, requote_uri(location))) if location else None
        except ValueError as error:
            raise requests.exceptions.InvalidURL("the redirect's") from error
        if target and response.url.startswith("https:") and not target.lower().startswith("https:"):
            raise Refused(
                f"{redacted(response.url)} redirects to {redacted(target)}, which is not encrypted. The redirect was "
                "not followed. Add a mirror with https."
            )
        return target


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme)


def _upgrades(first: SplitResult, here: SplitResult) -> bool:
    """Return True for a change from http to https on the same host, both at their standard ports."""
    ports = (first.port or 80, here.port or 443)
    return first.hostname == here.hostname and (first.scheme, here.scheme, ports) == ("http", "https", (80, 443))


def _login_of(url: str) -> Login:
    user, password = get_auth_from_url(url)
    return (user, password) if user or password else None


def _netrc(url: str) -> Login:
    login: Login = get_netrc_auth(url)
    return login


def _named_in_netrc(url: str) -> Login:
    """Return the login of a host that `~/.netrc` names. Its `default` entry is never sent to a redirect's host."""
    login = _netrc(url)
    return login if login != _netrc("https://default.invalid/") else None


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _as_asked(url: str) -> str:
    """Return a URL as `requests` will send it, so that the checked host is the host that it connects to."""
    asked = requests.Request("GET", url).prepare().url or url
    parts = urlsplit(asked)
    if parts.scheme in _PORTS and not _HOST.fullmatch(parts.hostname or ""):
        raise requests.exceptions.InvalidURL("its host")
    return asked


def _check_encrypted(url: str) -> None:
    if has_secret(url) and is_readable_on_the_way(url):
        raise Refused(
            f"{redacted(url)} would send a password or token unencrypted, so others could read it. Use https, or "
            "remove the secret from the URL."
        )


def _refused(came_from: str, url: str, zone: Zone, address: str) -> Refused:
    where = f"{IN_WORDS[zone]}{f' ({address})' if address and address not in url else ''}"
    remedy = "If that is your own network, set DATASET_ASSETS_INTRANET=true" if zone == Zone.PRIVATE else ""
    return Refused(
        f"{redacted(came_from)} redirects to {redacted(url)}, {where}. The redirect was not followed: an internet "
        f"server must not make this machine send requests into its own network. {remedy or 'Or use that URL itself'}."
    )

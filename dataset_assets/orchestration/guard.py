"""Checks each request before Dagster's server sees it, so that pages of other sites cannot use the web UI.

Any page in the user's browser can send requests to this machine. The browser adds headers that a page cannot forge, and
a request is accepted only if they fit: `Host` is a name of this server (a different one means DNS rebinding), `Origin`
is that host, and `Sec-Fetch-Site` names no other site. Programs such as curl send neither `Origin` nor
`Sec-Fetch-Site`, and are accepted.
"""

import re
from typing import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dataset_assets.errors import UsageError

_HOST = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.IGNORECASE)
_OWN_SITE = ("same-origin", "none")  # none: the user typed the address, or opened a bookmark
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'self'",  # beside Dagster's own policy: a browser obeys both
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Headers that keep other pages from embedding the UI, for example in a hidden frame whose buttons the user presses."""


class Guard:
    """An ASGI application that forwards only requests meant for it. `hosts` are its public names, besides localhost."""

    def __init__(self, app: ASGIApp, port: int, hosts: Iterable[str] = ()) -> None:
        self.app, self.port = app, port
        names = ("127.0.0.1", "localhost", "[::1]")
        # Browsers omit port 80.
        self.local = {f"{name}:{port}" for name in names} | ({*names} if port == 80 else set())
        self.public = {checked_host(host) for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        refused = self._refusal(scope, Headers(scope=scope))
        if refused:
            return await refused(scope, receive, send)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _harden(MutableHeaders(scope=message))
            await send(message)

        return await self.app(scope, receive, guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        host = hosts[0].lower() if len(hosts) == 1 else ""
        if host not in self.local | self.public:
            return _answer(421, self._not_this_host(hosts))
        if origins and not (len(origins) == 1 and self._is_own(origins[0], host)):
            return _answer(403, self._not_this_origin(origins, host))
        site = headers.get("sec-fetch-site", "none")
        if site not in _OWN_SITE and not _is_followed_link(scope, headers):
            return _answer(403, f"This request was sent by a page of another site (Sec-Fetch-Site: {_shown(site)}).")
        if _is_query_by_get(scope, headers):
            return _answer(405, "Send GraphQL queries by POST. A link or a picture can make a browser send a GET.")
        return None

    def _is_own(self, origin: str, host: str) -> bool:
        # Under a public name a reverse proxy handles TLS; this server speaks http.
        schemes = ("http://", "https://") if host in self.public else ("http://",)
        return origin.lower() in {scheme + host for scheme in schemes}

    def _not_this_host(self, hosts: list[str]) -> str:
        shown = _shown(", ".join(hosts))
        hint = (
            f" If that name is yours, allow it with: dataset-assets ui --allow-host {shown}" if len(hosts) == 1 else ""
        )
        return f"The request is for the host {shown}, but this server is 127.0.0.1:{self.port}.{hint}"

    def _not_this_origin(self, origins: list[str], host: str) -> str:
        return (
            f"A page of {_shown(', '.join(origins))} sent this request to {_shown(host)}. If you use a reverse proxy, "
            "let it forward the Host header unchanged."
        )


def checked_host(host: str) -> str:
    """Return a host name, with or without a port, in lower case. Raises `UsageError` if it is not valid."""
    if not _HOST.fullmatch(host):
        raise UsageError(f"{host!r} is not a host name. Write it as the browser shows it, such as ui.example.org.")
    return host.lower()


def _is_followed_link(scope: Scope, headers: Headers) -> bool:
    """Return whether the user followed a link on another site to a page of the UI. That only shows the page."""
    mode, into = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    return (scope["type"], scope.get("method"), mode, into) == ("http", "GET", "navigate", "document")


def _is_query_by_get(scope: Scope, headers: Headers) -> bool:
    """Return whether Dagster would execute a query in the URL. Clients that accept HTML get its editor instead."""
    asks_for_page = "text/html" in (headers.getlist("accept") or [""])[0]
    return (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and scope["path"].rstrip("/").endswith("/graphql")
        and not asks_for_page
    )


def _harden(headers: MutableHeaders) -> None:
    for name in [name for name in headers if name.startswith("access-control-")]:
        del headers[name]
    for name, value in HEADERS.items():
        headers.append(name, value)
    headers.setdefault("X-Content-Type-Options", "nosniff")


def _answer(status: int, text: str) -> PlainTextResponse:
    return PlainTextResponse(f"{text}\n", status, {**HEADERS, "X-Content-Type-Options": "nosniff"})


def _shown(value: str) -> str:
    """Return untrusted text in a form that is safe to print."""
    return ascii(value[:200])[1:-1] or "that is not named"

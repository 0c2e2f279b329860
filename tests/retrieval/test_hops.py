"""Redirects: where they may lead, and what each server is sent."""

import base64
import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import internet
import pytest

from dataset_assets.core.redact import redacted_text
from dataset_assets.errors import DatasetAssetsError, Refused, RetrievalError
from dataset_assets.retrieval import Source, fetch_first
from dataset_assets.retrieval.http import HttpLimits, HttpRetriever
from dataset_assets.retrieval.zones import Zone, zone_of, zone_of_host
from dataset_assets.testing import FaultyServer, Redirect, Request, Status

BODY = b"0123456789" * 100
SECRET = "c0ffee-91bd"
ZONES = {
    Zone.PUBLIC: [
        "93.184.215.14", "1.1.1.1", "2606:2800:220::1", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1",
    ],
    Zone.PRIVATE: [
        "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.254", "198.18.0.1",
        "240.0.0.1", "224.0.0.1", "239.1.2.3", "255.255.255.255", "192.0.2.2", "fd12::1", "fc00::1", "fec0::1",
        "ff02::1", "::ffff:10.0.0.1", "::10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "2001:db8::1",
    ],
    Zone.LINK: [
        "169.254.169.254", "169.254.170.2", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fd20:ce::254",
        "100.100.100.200", "168.63.129.16", "192.0.0.192", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
    ],
    Zone.MACHINE: [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "::", "::1", "::ffff:127.0.0.1", "::127.0.0.1",
        "::ffff:0.0.0.0", "64:ff9b::7f00:1", "2002:7f00:1::",
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,127.0.0.2,localhost")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def first() -> Iterator[FaultyServer]:
    with FaultyServer({"/x": BODY}) as server:
        yield server


@pytest.fixture(params=["127.0.0.1", "127.0.0.2"])
def other(request: pytest.FixtureRequest) -> Iterator[FaultyServer]:
    """Another server: on another port, or another host."""
    with FaultyServer({"/x": BODY}, host=request.param) as server:
        yield server


def download(url: str, folder: Path, known: Source | None = None, attempts: int = 1) -> Source | None:
    limits = HttpLimits(attempts=attempts, idle_timeout=60, backoff=0.001)
    return fetch_first([url], folder / "file", known, retrievers=lambda _: HttpRetriever(limits))


def authorized(request: Request) -> str | None:
    said = request.headers["Authorization"]
    return base64.b64decode(said.removeprefix("Basic ")).decode() if said else None


# --- S2, N5: where


@pytest.mark.parametrize("zone", Zone)
def test_each_address_is_in_its_zone(zone: Zone) -> None:
    assert {address: zone_of(address) for address in ZONES[zone]} == dict.fromkeys(ZONES[zone], zone)


def test_a_host_that_only_a_proxy_resolves_is_judged_by_its_name() -> None:
    names = {
        "localhost": Zone.MACHINE, "a.localhost": Zone.MACHINE, "LOCALHOST.": Zone.MACHINE, "127.1": Zone.MACHINE,
        "0x7f000001": Zone.MACHINE, "[::1]": Zone.MACHINE, "metadata.google.internal": Zone.LINK,
        "files.internal": Zone.PRIVATE, "printer": Zone.PRIVATE, "data.invalid": Zone.PUBLIC,
    }  # fmt: skip
    assert {name: zone_of_host(name) for name in names} == names


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are of Linux")
@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is not installed: apt-get install util-linux")
@pytest.mark.skipif(not shutil.which("ip"), reason="ip is not installed: apt-get install iproute2")
@pytest.mark.parametrize("intranet_allowed", [False, True])
def test_a_redirect_leads_no_nearer_to_this_machine_than_it_comes_from(intranet_allowed: bool) -> None:
    rows = internet.run(intranet_allowed)
    if rows is None:
        pytest.skip("no network namespace can be made here")
    zone = {address: next(z for z, all_ in ZONES.items() if zone_of(address) == z) for address in internet.ADDRESSES}
    came = {(a, b): (said, reached) for a, b, said, reached in rows}
    for a in internet.ADDRESSES:
        for b in internet.ADDRESSES:
            follows = zone[b] <= zone[a] or intranet_allowed and zone[b] == Zone.PRIVATE
            said, reached = came.pop((a, b))
            assert (said == b, reached) == (follows, follows), (a, b, said)
            assert follows or said.startswith("Refused:"), (a, b, said)
    mapped = internet.MAPPED["10.1.2.3"]
    assert came.pop((internet.PUBLIC, f"[{mapped}]"))[1] == intranet_allowed
    # What is left are other spellings of this machine, and names whose addresses change.
    assert len(came) == 8 and not any(reached for _, reached in came.values()), came


def test_behind_a_proxy_the_host_of_a_redirect_is_judged_before_the_proxy_is_asked(
    first: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", first.url)
    monkeypatch.setenv("NO_PROXY", "")
    for target in ("http://127.0.0.1:1/x", "http://169.254.169.254/x", "http://metadata.google.internal/x"):
        first.forget()
        first.script("/start", [Redirect(target)])
        with pytest.raises(Refused, match="was not followed"):
            download("http://93.184.215.14/start", tmp_path)
        assert [request.path for request in first.requests] == ["http://93.184.215.14/start"]


def test_a_host_behind_a_proxy_does_not_lead_to_this_machine_past_the_proxy(
    first: FaultyServer, other: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", first.url)
    first.script("/start", [Redirect(other.url + "/x")])
    with pytest.raises(Refused, match="an address of this machine"):
        download("http://93.184.215.14/start", tmp_path)
    assert not other.requests


def test_a_proxy_passes_on_what_redirects_between_public_hosts(
    first: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", first.url)
    first.script("/start", [Redirect("http://1.1.1.1/x")])
    download("http://93.184.215.14/start", tmp_path)
    assert (tmp_path / "file").read_bytes() == BODY


@pytest.mark.parametrize("host", ["127.0.0.1\\.example.org", "127.0.0.1%5C.example.org", "a%2fb", "a b", "[::1"])
def test_a_redirect_to_a_host_that_is_none_is_not_followed_by_a_proxy_either(
    first: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", first.url)
    first.script("/start", [Redirect(f"http://{host}/x")])
    with pytest.raises(RetrievalError, match="not a valid http URL"):
        download("http://93.184.215.14/start", tmp_path)
    assert len(first.requests) == 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "data:,x"])
def test_a_redirect_out_of_http_is_not_followed(first: FaultyServer, tmp_path: Path, target: str) -> None:
    first.script("/x", [Redirect(target)])
    with pytest.raises(RetrievalError, match="not a valid http URL"):
        download(f"{first.url}/x", tmp_path)


# --- N5: what is sent


def test_nothing_of_the_first_server_is_sent_to_another(
    first: FaultyServer, other: FaultyServer, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text(
        f"machine 127.0.0.1 login ada password {SECRET}\ndefault login a password {SECRET}\n"
    )
    cookie = {"Set-Cookie": f"session={SECRET}; Path=/"}
    first.script("/start", [Status(302, {**cookie, "Location": f"/next?token={SECRET}"})])
    first.script("/next", [Status(302, {**cookie, "Location": f"{other.url}/x"})])
    download(f"{first.url}/start?sig={SECRET}", tmp_path)
    assert [authorized(request) for request in first.requests] == [f"ada:{SECRET}"] * 2
    assert first.requests[1].headers["Cookie"] == f"session={SECRET}"
    [asked] = other.requests
    assert SECRET not in str(asked.headers) + asked.path
    assert {name.lower() for name in asked.headers} <= {
        "host", "user-agent", "accept", "accept-encoding", "connection",
    }  # fmt: skip


def test_a_login_in_the_url_goes_to_its_server_alone_and_before_that_of_netrc(
    first: FaultyServer, other: FaultyServer, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login eve password else\n")
    first.script("/start", [Redirect(other.url + "/back")])
    other.script("/back", [Redirect(first.url + "/x")])
    download(first.url.replace("://", f"://ada:{SECRET}@") + "/start", tmp_path)
    assert [authorized(request) for request in first.requests] == [f"ada:{SECRET}"] * 2
    assert [authorized(request) for request in other.requests] == [None]


def test_a_login_that_a_redirect_names_is_not_sent(first: FaultyServer, other: FaultyServer, tmp_path: Path) -> None:
    first.script("/start", [Redirect(other.url.replace("://", "://eve:pw@") + "/x")])
    download(first.url + "/start", tmp_path)
    assert authorized(other.requests[0]) is None


def test_a_redirect_to_another_host_that_netrc_names_is_sent_its_own_login(first: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.2 login ada password {SECRET}\n")
    with FaultyServer({"/x": BODY}, host="127.0.0.2") as login:
        first.script("/start", [Redirect(login.url + "/x")])
        download(first.url + "/start", tmp_path)
        assert authorized(first.requests[0]) is None
        assert authorized(login.requests[0]) == f"ada:{SECRET}"


@pytest.mark.parametrize(
    "url",
    [f"http://ada:{SECRET}@93.184.215.14/x", f"http://93.184.215.14/x?sv=1&sig={SECRET}", f"http://h/?token={SECRET}"],
)
def test_no_secret_of_a_url_goes_over_plain_http(
    first: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", first.url)
    with pytest.raises(Refused, match="unencrypted") as caught:
        download(url, tmp_path)
    assert SECRET not in str(caught.value) and not first.requests


def test_no_login_of_netrc_goes_over_plain_http(
    first: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text(f"machine 93.184.215.14 login ada password {SECRET}\n")
    monkeypatch.setenv("HTTP_PROXY", first.url)
    first.script("/x", [Redirect("http://1.1.1.1/x")])
    download("http://93.184.215.14/x", tmp_path)
    assert [authorized(request) for request in first.requests] == [None, None]


# --- logs


def test_what_http_libraries_log_holds_no_secret(
    first: FaultyServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first.script("/x", [Status(503), Redirect(f"/x?sig={SECRET}&part=2")])
    url = first.url.replace("://", f"://ada:{SECRET}@") + f"/x?part=1&X-Amz-Security-Token={SECRET}"
    with caplog.at_level(logging.DEBUG):
        download(url, tmp_path, attempts=2)
    assert "part=1" in caplog.text and "part=2" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        f"GET /a?b=1&sig={SECRET} HTTP/1.1", f"https://ada:{SECRET}@h/a", f"{{'Authorization': 'Bearer {SECRET}'}}",
        f"authorization: AWS4-HMAC Credential=x, Signature={SECRET}\r\n", f"('x-amz-security-token', b'{SECRET}')",
        f"Set-Cookie: a={SECRET}; Path=/", f"postgresql://u:{SECRET}@h/db", f"key of the environment {SECRET}",
    ],
)  # fmt: skip
def test_a_line_of_a_log_is_written_without_its_secrets(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", SECRET)
    assert SECRET not in redacted_text(line)
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    assert SECRET not in redacted_text(line) or "environment" in line


def test_an_unreachable_target_is_a_typed_error(first: FaultyServer, tmp_path: Path) -> None:
    first.script("/x", [Redirect("http://no-such-host.invalid/x")])
    with pytest.raises(DatasetAssetsError):
        download(f"{first.url}/x", tmp_path)

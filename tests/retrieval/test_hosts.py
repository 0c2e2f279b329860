"""Headers of the user's settings: each goes to the host that it names, and its secret is nowhere else."""

from pathlib import Path

import pytest

from dataset_assets.core.settings import as_variable, settings
from dataset_assets.errors import Refused, UsageError
from dataset_assets.retrieval import fetch_first
from dataset_assets.retrieval.hosts import headers_for
from dataset_assets.testing.server import FaultyServer, Redirect

SECRET = "s3cret-value-of-a-token"


def test_headers_go_to_their_host_alone_and_not_along_a_redirect(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_TOKEN", SECRET)
    with FaultyServer({"/a": b"data"}) as first, FaultyServer({"/b": b"data"}) as second:
        place = first.url.partition("://")[2]
        lines = f"{place} Authorization: Bearer ${{EXAMPLE_TOKEN}}\n{place} User-Agent: my-lab/1.0"
        monkeypatch.setenv("DATASET_ASSETS_HEADERS", lines)
        first.script("/a", [Redirect(f"{second.url}/b")])
        source = fetch_first([f"{first.url}/a"], home.parent / "file")
        asked, redirected = first.requests[0].headers, second.requests[0].headers
        assert (asked["Authorization"], asked["User-Agent"]) == (f"Bearer {SECRET}", "my-lab/1.0")
        assert (redirected["Authorization"], redirected["User-Agent"]) == (None, "dataset-assets")
        assert SECRET not in repr(source) + as_variable(settings().headers)


def test_a_header_wins_over_a_login_of_the_same_host(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_TOKEN", SECRET)
    with FaultyServer({"/a": b"data"}) as server:
        monkeypatch.setenv("DATASET_ASSETS_HEADERS", "127.0.0.1 authorization: Token ${EXAMPLE_TOKEN}")
        fetch_first([server.url.replace("://", "://ada:pw@") + "/a"], home.parent / "file")
        assert server.requests[0].headers.get_all("Authorization") == [f"Token {SECRET}"]


def test_what_is_sent_is_checked_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ASSETS_HEADERS", "data.example.org X-Api-Key: ${EXAMPLE_KEY}")
    assert headers_for("https://other.example.org/a") == {}
    with pytest.raises(
        UsageError, match="data.example.org needs the environment variable EXAMPLE_KEY, which is not set"
    ):
        headers_for("https://data.example.org/a")
    monkeypatch.setenv("EXAMPLE_KEY", SECRET)
    assert headers_for("https://Data.Example.org:443/a") == {"X-Api-Key": SECRET}
    with pytest.raises(Refused, match="would be sent X-Api-Key unencrypted"):
        headers_for("http://data.example.org/a")
    monkeypatch.setenv("EXAMPLE_KEY", f"{SECRET}\r\nX: 1")
    with pytest.raises(Refused, match="has characters that no header may have") as refused:
        headers_for("https://data.example.org/a")
    assert SECRET not in str(refused.value)


def test_a_secret_in_the_setting_itself_is_refused_and_not_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_HEADERS", f"data.example.org Authorization: Bearer {SECRET}")
    with pytest.raises(
        UsageError, match="Authorization of data.example.org is a value.*write \\${ITS_NAME}"
    ) as refused:
        settings()
    assert SECRET not in str(refused.value)
    monkeypatch.setenv("DATASET_ASSETS_HEADERS", "data.example.org")
    with pytest.raises(UsageError, match="a list such as"):
        settings()
    monkeypatch.delenv("DATASET_ASSETS_HEADERS")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dataset_assets.toml").write_text('headers = ["a.example X-Key: ${HOME}"]')
    with pytest.raises(UsageError, match="a setting of the environment or the user file"):
        settings()


def test_a_list_comes_back_from_a_variable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ("a.example:8443 X-Key: ${A}", "b.example User-Agent: a, b; c")
    monkeypatch.setenv("DATASET_ASSETS_HEADERS", "\n".join(lines))
    assert settings().headers == lines
    monkeypatch.setenv("DATASET_ASSETS_HEADERS", as_variable(settings().headers))
    assert settings().headers == lines

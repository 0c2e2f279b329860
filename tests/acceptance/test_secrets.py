"""Credentials are in no log, error, event, index, file, object or message, whatever is done and whatever fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import on_server
from google_interface import GoogleStorage, entered_google
from leaks import expect_no_secret
from places import SUPPORT
from servers import SECRET, Place

from dataset_assets.storage import open_storage
from dataset_assets.testing.storage import content

WRONG = "d3JvbmctcGE1NXdvcmQ="
"""A wrong password; also one that Azure takes for a key."""
GOOGLE = "planted-in-the-account-of-google"
WRONGS = {
    name: WRONG for name in ("AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "PGPASSWORD", "MONGODB_PASSWORD")
} | {"GOOGLE_SERVICE_ACCOUNT": "/nowhere/account.json"}
PLANTED = {"HF_TOKEN": "planted-token", "GITHUB_TOKEN": "another-planted-token"}
KINDS = ("seaweed", "azurite", "postgres in the URL", "secantus in the URL", "google")


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_is_in_any_log_event_file_or_object(
    kind: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    folder: Path,
    fast_path: Path,
) -> None:
    kind, _, inside = kind.partition(" ")
    url, secrets = opened(kind, request, monkeypatch, bool(inside))
    dagster_home = fast_path / "dagster"
    dagster_home.mkdir()
    environment = {**os.environ, **PLANTED, "DAGSTER_HOME": str(dagster_home), "RUST_LOG": "trace", "IN_URL": SECRET}
    wrong = [f"{name}={value}" for name, value in WRONGS.items()]
    run = [sys.executable, str(SUPPORT / "driven.py"), url, folder.as_uri() + "/", *wrong]
    done = subprocess.run(run, capture_output=True, text=True, env=environment, cwd=fast_path, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stderr) > 1000, "nothing was logged"
    good, _, failing = done.stdout.partition("NOW IT FAILS")
    assert "ok       storage" in good and "StorageError" in failing, failing[:3000]
    storage = open_storage(url)
    for key in storage.list(""):
        assert not [secret for secret in secrets if secret.encode() in content(storage, key)]
    expect_no_secret(fast_path, done.stdout + done.stderr, *secrets, *PLANTED.values())


def opened(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> tuple[str, tuple[str, ...]]:
    """Return the URL of an empty storage, with the password in it or in the environment, and what nobody may see."""
    if kind == "google":
        # The file of the account is outside of what is looked through.
        account = request.getfixturevalue("tmp_path")
        server: GoogleStorage = request.getfixturevalue("google")
        return entered_google(server, monkeypatch, account, secret=GOOGLE), (GOOGLE,)
    url, place = on_server(kind, request, monkeypatch).url, request.getfixturevalue(kind)
    assert isinstance(place, Place)
    if kind == "secantus":
        url += "&serverSelectionTimeoutMS=100"
    if inside:
        user = "tests"
        for name in ("PGPASSWORD", "MONGODB_USERNAME", "MONGODB_PASSWORD"):
            monkeypatch.delenv(name, raising=False)
        scheme, _, rest = url.partition("://")
        url = f"{scheme}://{user}:{SECRET}@{rest.rpartition('@')[2]}"
    return url, (*place.secrets, WRONG, "wrong-pa55word")

"""The settings of the package etcetera, taken once."""

import logging
import os
import subprocess
from pathlib import Path

import pytest

from dataset_assets.core.settings import settings
from dataset_assets.errors import Conflict, DatasetAssetsError, NotFound, UsageError
from dataset_assets.moving.etc_settings import home_of_etc, import_etc

SECRET = "pa55 'word"
TOML = f"""url = "s3://flowers"
home = "~/somewhere"
endpoint_url = "https://s3.example:9000"
aws_access_key_id = "KEY"
{{spelling}} = "{SECRET}"
"""
YAML = f"""url: s3://flowers
endpoint_url: https://s3.example:9000
aws_access_key_id: KEY
{{spelling}}: "{SECRET}"
"""
REMOTE = "s3://flowers?endpoint=https://s3.example:9000"


@pytest.fixture
def etc(home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of a user of etcetera."""
    monkeypatch.setenv("HOME", str(fast_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(fast_path / "config"))
    monkeypatch.delenv("DATASET_ASSETS_REMOTE", raising=False)
    return fast_path


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("spelling", ["aws_secret_access_key", "aws_access_key_secret"])
@pytest.mark.parametrize("name", [".etc.toml", ".etc.yaml"])
def test_remote_and_credentials_are_taken_by_both_spellings(
    etc: Path, caplog: pytest.LogCaptureFixture, name: str, spelling: str
):
    write(etc / name, (TOML if name.endswith("toml") else YAML).format(spelling=spelling))
    found = import_etc()
    assert settings().remote == found.remote == REMOTE
    assert found.credentials and found.credentials.stat().st_mode & 0o777 == 0o600
    shell = ["sh", "-c", '. "$1"; printf %s "$AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY"', "sh", str(found.credentials)]
    assert subprocess.run(shell, capture_output=True, text=True, check=True).stdout == f"KEY {SECRET}"
    assert import_etc() == found and caplog.records == []


def test_what_the_user_has_set_stays(etc: Path):
    file = etc / "config/dataset_assets/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("grace_days = 3\n")
    write(etc / ".etc.toml", 'url = "s3://flowers"\n')
    assert import_etc().credentials is None
    assert (settings().remote, settings().grace_days) == ("s3://flowers", 3)
    write(etc / ".etc.toml", 'url = "s3://others"\n')
    with pytest.raises(Conflict, match="sets a different remote"):
        import_etc()
    assert settings().remote == "s3://flowers"


def test_the_settings_file_keeps_its_mode_and_its_link(etc: Path):
    kept, file = etc / "dotfiles.toml", etc / "config/dataset_assets/config.toml"
    write(kept, "grace_days = 3\n")
    file.parent.mkdir(parents=True)
    file.symlink_to(kept)
    write(etc / ".etc.toml", 'url = "s3://flowers"\n')
    import_etc()
    assert file.is_symlink() and kept.stat().st_mode & 0o777 == 0o600
    assert (settings().remote, settings().grace_days) == ("s3://flowers", 3)


def test_other_credentials_that_were_taken_before_stay(etc: Path):
    write(etc / ".etc.toml", TOML.format(spelling="aws_secret_access_key"))
    secret = etc / "config/dataset_assets/remote.env"
    secret.parent.mkdir(parents=True)
    secret.write_text("export AWS_ACCESS_KEY_ID=MINE\n")
    with pytest.raises(Conflict, match="remote.env holds different credentials"):
        import_etc()
    assert secret.read_text() == "export AWS_ACCESS_KEY_ID=MINE\n" and settings().remote == ""
    secret.unlink()
    assert import_etc().credentials == secret


@pytest.mark.parametrize("key", ["aws_access_key_id", "aws_secret_access_key"])
def test_half_of_the_credentials_is_warned_of(etc: Path, caplog: pytest.LogCaptureFixture, key: str):
    write(etc / ".etc.toml", f'url = "s3://flowers"\n{key} = "{SECRET}"\n')
    assert import_etc().credentials is None
    assert "aws_access_key_id" in caplog.text and "No credentials were taken" in caplog.text
    assert SECRET not in caplog.text


BROKEN = {
    'url = "s3://flowers"\nbucket = "x"\nhoem = "y"\n': "unknown keys bucket, hoem",
    'home = "x"\n': "url of .* is missing",
    'url = "gs://flowers"\n': "not like s3://bucket",
    'url = "s3://flowers"\nendpoint_url = "x"\n': "endpoint_url of",
    "url = \n": "is not valid TOML",
    'url = "s3://f"\naws_secret_access_key = "b"\naws_access_key_secret = "c"\n': "two secrets",
}


@pytest.mark.parametrize("text", BROKEN)
def test_settings_that_are_not_valid_are_refused_by_name_and_change_nothing(etc: Path, text: str):
    write(etc / ".etc.toml", text)
    with pytest.raises(DatasetAssetsError, match=BROKEN[text]):
        import_etc()
    assert settings().remote == "" and not (etc / "config").exists()


def test_yaml_that_would_run_code_is_refused(etc: Path):
    write(etc / ".etc.yaml", f"url: !!python/object/apply:os.system ['touch {etc}/ran']\n")
    with pytest.raises(UsageError, match="is not valid YAML, or holds more than plain values"):
        import_etc()
    assert not (etc / "ran").exists()


def test_yaml_that_names_a_key_twice_or_grows_without_end_is_refused(etc: Path):
    write(etc / ".etc.yaml", "url: s3://flowers\nurl: s3://other\n")
    with pytest.raises(UsageError, match="sets url twice"):
        import_etc()
    lists = ", ".join(f"&l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12))
    write(etc / ".etc.yaml", f"url: s3://flowers\naws_access_key_id: [&l0 x, {lists}]\naws_secret_access_key: *l11\n")
    with pytest.raises(UsageError, match="sets aws_access_key_id, aws_secret_access_key to more than one value"):
        import_etc()


def test_a_file_that_others_can_read_is_warned_of_and_a_missing_one_is_named(
    etc: Path, caplog: pytest.LogCaptureFixture
):
    with pytest.raises(NotFound, match=f"{etc}/.etc.toml and {etc}/.etc.yaml do not exist"):
        import_etc()
    write(etc / ".etc.toml", 'url = "s3://flowers"\nhome = "~/deep"\npublic = true\n').chmod(0o644)
    with caplog.at_level(logging.WARNING):
        import_etc()
    assert "can be read by others" in caplog.text and "sets public" in caplog.text
    assert home_of_etc() == Path(os.environ["HOME"]) / "deep"

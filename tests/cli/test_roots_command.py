"""`settings roots`: what a storage's datasets may read where it is."""

from pathlib import Path

from command_line import CommandLine


def test_a_root_is_allowed_listed_and_taken_back(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    line.environment["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    assert "s3://lake/birds/" in line.run("settings", "roots", "allow", "s3://lake/birds").stderr
    assert line.run("settings", "roots", "list").stdout == "s3://lake/birds/\n"
    line.run("settings", "roots", "refuse", "s3://lake/birds/")
    assert "No root is allowed" in line.run("settings", "roots", "list").stderr
    assert "settings roots list" in line.run("settings", "roots", "refuse", "s3://lake/birds/", code=3).stderr

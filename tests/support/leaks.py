"""Secrets looked for in all that a test left."""

from pathlib import Path


def expect_no_secret(folder: Path, said: str, *secrets: str) -> None:
    """Look at what was said, and at every file below a folder."""
    for secret in secrets:
        assert secret not in said, said[said.index(secret) - 300 :][:400]
        found = [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
        assert not found

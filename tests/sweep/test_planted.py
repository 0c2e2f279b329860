"""A sweep is worth what it finds: mistakes are planted, and the invariant that each breaks is named."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Iterator

import pytest
from sweeping import Fault, Sweep, Violation, sweep_of

from dataset_assets.core import files, scratch
from dataset_assets.core.canonical import digest_of
from dataset_assets.errors import Conflict, StorageError
from dataset_assets.making import prepare as preparing
from dataset_assets.storage import manifest
from dataset_assets.storage.connectors import local
from dataset_assets.storage.keys import pointer_key
from dataset_assets.storage.releases import publish_version, release


def written_in_place(patch: pytest.MonkeyPatch) -> None:
    def store(self: Any, path: Path, source: Any) -> None:
        files.make_folder(path.parent)
        path.unlink(missing_ok=True)
        with files.Written(path) as file:
            file.write(source.read_bytes() if isinstance(source, Path) else source)

    patch.setattr(local.LocalStorage, "_store", store)


def names_before_bytes(patch: pytest.MonkeyPatch) -> None:
    """A file has its name before its bytes are on the disk."""
    patch.setattr(files.Written, "close", files.Written.discard)
    patch.setattr(files, "sync", lambda path: None)


def a_lock_that_outlives_its_holder(patch: pytest.MonkeyPatch) -> None:
    class Lock:
        def __init__(self, path: Path, seconds: float) -> None:
            self.path = path

        def __enter__(self) -> None:
            try:
                files.Written(self.path).discard()
            except OSError:
                raise Conflict(f"{self.path} is locked") from None

        def __exit__(self, *raised: object) -> None:
            self.path.unlink()

    patch.setattr(local, "_locked", Lock)


def the_pointer_before_the_version(patch: pytest.MonkeyPatch) -> None:
    def early(stored: Any, version: Any, expected: str | None, aliases: Any = ()) -> str:
        digest = digest_of(version)
        stored.storage.swap(pointer_key(stored.name), manifest.pointer_to(digest), expected)
        return publish_version(stored, version)

    patch.setattr(preparing, "release", early)


def the_old_pointer_removed_first(patch: pytest.MonkeyPatch) -> None:
    def anew(stored: Any, version: Any, expected: str | None, aliases: Any = ()) -> str:
        stored.storage.delete(pointer_key(stored.name))
        return release(stored, version, None, aliases)

    patch.setattr(preparing, "release", anew)


def an_error_that_is_nobodys(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(files.reported, "__exit__", lambda self, *raised: None)


def a_failed_release_passed_over(patch: pytest.MonkeyPatch) -> None:
    def passed_over(stored: Any, version: Any, expected: str | None, aliases: Any = ()) -> str:
        with suppress(StorageError):
            release(stored, version, expected, aliases)
        return digest_of(version)

    patch.setattr(preparing, "release", passed_over)


def scratch_that_stays(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(scratch, "_empty", lambda folder: None)


def folders_that_nobody_syncs_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(files, "_is_synced", Path.is_dir)
    patch.setattr(local.LocalStorage, "settle", lambda self, keys: None)


PLANTED: dict[str, tuple[Any, Fault, str, str]] = {
    "written in place": (written_in_place, "kill", "I1", "replace .*/storage/"),
    "names before bytes": (names_before_bytes, "torn", "I1", "replace .*/storage/"),
    "a lock that outlives its holder": (a_lock_that_outlives_its_holder, "kill", "I2", "replace .*/current.json"),
    "the pointer before the version": (the_pointer_before_the_version, "kill", "I3", "replace .*/versions/"),
    "the old pointer removed first": (the_old_pointer_removed_first, "kill", "I3", "replace .*/current.json"),
    "an error that is nobody's": (an_error_that_is_nobodys, "ENOSPC", "I4", "write .*/text/"),
    "a failed release passed over": (a_failed_release_passed_over, "ENOSPC", "I5", "replace .*/current.json"),
    "scratch that stays": (scratch_that_stays, "EIO", "I6", "write .*/text/"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_mistake_is_found(planted: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, fault, invariant, near = PLANTED[planted]
    with sweep_of("prepare", place) as sweep:
        calls = sweep.calls if fault == "EIO" else sweep.changes
        at = [n for n, call in enumerate(calls, 1) if re.search(near, " ".join(call))]
        plant(monkeypatch)
        assert invariant in broken(sweep, fault, iter(around(at)), invariant)


def test_a_folder_that_nobody_syncs_again_is_found(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sweep_of("copy", place) as sweep:
        folders_that_nobody_syncs_again(monkeypatch)
        assert broken(sweep, "kill and loss", iter(range(20, 60, 3)), "I1") == ["I1"]


def around(places: list[int]) -> list[int]:
    """Return the numbers of some calls, and of those near to them."""
    return sorted({n + k for n in places for k in range(-6, 12) if n + k > 0})


def broken(sweep: Sweep, fault: Fault, calls: Iterator[int], until: str) -> list[str]:
    """Let calls fail until an invariant is broken; return all that were."""
    found: list[str] = []
    for n in calls:
        try:
            sweep.run(fault, iter([n]))
        except Violation as violation:
            found.append(str(violation)[:2])
            if until in found:
                break
    return found

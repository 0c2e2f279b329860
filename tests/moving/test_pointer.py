"""Whose version is current after a copy: nobody's version takes the place of another's by itself."""

import io
import json
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
import tiny
from command_line import COMMAND, CommandLine
from released import Released, everything

from dataset_assets import load, prepare
from dataset_assets.core.canonical import sha256_hex
from dataset_assets.errors import Conflict, DigestMismatch, NewerFormat, UsageError
from dataset_assets.moving.bundle import bundle
from dataset_assets.moving.copy import Copied, copy
from dataset_assets.moving.unbundle import unbundle
from dataset_assets.storage import LocalStorage, MemoryStorage, Storage
from dataset_assets.storage.keys import pointer_key, source_key, version_key
from dataset_assets.storage.manifest import sealed
from dataset_assets.storage.pins import pin, pins
from dataset_assets.storage.stored_dataset import StoredDataset

POINTER = pointer_key(tiny.NAME)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A source with an old and a new version, and a stranger's storage with one that the source does not have."""
    folder = tmp_path_factory.mktemp("stores")
    source, stranger = LocalStorage(folder / "source"), LocalStorage(folder / "stranger")
    released = Released(folder, source)
    (folder / "numbers.csv").write_bytes(tiny.NUMBERS.replace(b"5,", b"55,"))
    own = str(prepare(tiny.small((folder / "numbers.csv").as_uri()), storage=stranger)["train"].version)
    return {"source": source, "stranger": stranger, "old": released.old, "new": released.new, "own": own}


def damage(target: Storage) -> None:
    target.put(POINTER, b'{"version": "damaged')


def of_old(stores: dict[str, Any], target: Storage) -> None:
    copy(f"{tiny.NAME}@{stores['old']}", stores["source"], target)
    target.swap(POINTER, sealed({"version": stores["old"]}), None)


def mirror_damaged(stores: dict[str, Any], target: Storage) -> None:
    copy(tiny.NAME, stores["source"], target)
    damage(target)


def own_damaged(stores: dict[str, Any], target: Storage) -> None:
    copy(tiny.NAME, stores["stranger"], target)
    damage(target)


# How the target is before; whether a copy then moves the pointer by itself, and whether an unbundled tar does.
STATES: dict[str, tuple[Callable[[dict[str, Any], Storage], object], bool, bool]] = {
    "empty": (lambda stores, target: None, True, True),
    "same current": (lambda stores, target: copy(tiny.NAME, stores["source"], target), True, True),
    "an older one of the source": (of_old, True, False),
    "one of its own": (lambda stores, target: copy(tiny.NAME, stores["stranger"], target), False, False),
    "a damaged pointer to one of the source": (mirror_damaged, True, False),
    "a damaged pointer to one of its own": (own_damaged, False, False),
}


def by_name(stores: dict[str, Any], target: Storage, **options: Any) -> list[Copied]:
    return copy(tiny.NAME, stores["source"], target, raw=True, **options)


def by_all(stores: dict[str, Any], target: Storage, **options: Any) -> list[Copied]:
    return copy(None, stores["source"], target, versions="all", raw=True, **options)


def by_bundle(stores: dict[str, Any], target: Storage, **options: Any) -> list[Copied]:
    return unbundle(io.BytesIO(bundled(stores["source"])), target, **options)


def bundled(source: Storage) -> bytes:
    into = io.BytesIO()
    bundle([], source, into, versions="all", raw=True)
    return into.getvalue()


def current(target: Storage) -> str | None:
    try:
        return StoredDataset(target, tiny.NAME).pointer()[0]
    except ValueError:
        return None


@pytest.mark.parametrize("make_current", [False, True])
@pytest.mark.parametrize("verb", [by_name, by_all, by_bundle])
def test_the_pointer_moves_only_where_it_displaces_nobody(
    stores: dict[str, Any], verb: Any, make_current: bool
) -> None:
    for state, (prepared, by_copy, by_tar) in STATES.items():
        target = MemoryStorage()
        prepared(stores, target)
        before, was = everything(target), current(target)
        for _ in range(2):  # as does who runs it again
            [done] = verb(stores, target, make_current=make_current)
            moves = make_current or (by_tar if verb is by_bundle else by_copy)
            expected = stores["new"] if moves else was
            assert (current(target), done.current) == (expected, expected), state
            assert done.offered == (None if moves else stores["new"]), state
            # What is not current can be opened all the same.
            assert load(f"{tiny.NAME}@{stores['new']}", storage=target, verify="all")
            after = everything(target)
            if not moves:
                # Nothing that was there changed, and nothing is recorded that a later `prepare` would take for its own.
                assert after.items() >= before.items(), state
                assert [key for key in after.keys() - before.keys() if key.endswith("source.json")] == [], state


def test_a_version_by_its_digest_moves_no_pointer_whatever_is_there(stores: dict[str, Any]) -> None:
    for state, (prepared, _, _) in STATES.items():
        target = MemoryStorage()
        prepared(stores, target)
        before = everything(target).get(POINTER)
        [done] = copy(f"{tiny.NAME}@{stores['old']}", stores["source"], target, raw=True)
        assert (done.current, done.offered) == (None, None) and everything(target).get(POINTER) == before, state
    with pytest.raises(UsageError, match="moves no pointer"):
        copy(f"{tiny.NAME}@{stores['old']}", stores["source"], MemoryStorage(), make_current=True)


def test_a_source_that_only_claims_to_know_the_current_version_does_not_move_it(stores: dict[str, Any]) -> None:
    liar, target = MemoryStorage(), MemoryStorage()
    copy(tiny.NAME, stores["source"], liar)
    copy(tiny.NAME, stores["stranger"], target)
    liar.put(version_key(tiny.NAME, stores["own"]), b"{}")
    [done] = copy(tiny.NAME, liar, target)
    assert (current(target), done.offered) == (stores["own"], stores["new"])


def test_a_pointer_of_a_newer_release_is_not_taken_for_a_damaged_one(stores: dict[str, Any]) -> None:
    target = MemoryStorage()
    newer = {"version": stores["own"], "format": 99}
    data = json.dumps({**newer, "seal": sha256_hex(json.dumps(newer, sort_keys=True, separators=(",", ":")).encode())})
    target.put(POINTER, data.encode())
    for make_current in (False, True):
        with pytest.raises(NewerFormat):
            copy(tiny.NAME, stores["source"], target, make_current=make_current)
    assert everything(target) == {POINTER: data.encode()}


class Overtaken(MemoryStorage):
    """A storage whose owner releases a version of his own just before the pointer is moved."""

    def __init__(self, stranger: Storage) -> None:
        super().__init__()
        self.stranger: Storage | None = stranger

    def swap(self, key: str, new: bytes, expected: str | None) -> bool:
        if key == POINTER and self.stranger:
            stranger, self.stranger = self.stranger, None
            copy(tiny.NAME, stranger, self, make_current=True)
        return super().swap(key, new, expected)


@pytest.mark.parametrize("make_current", [False, True])
@pytest.mark.parametrize("verb", [by_name, by_all, by_bundle])
def test_a_version_that_was_released_meanwhile_stays(stores: dict[str, Any], verb: Any, make_current: bool) -> None:
    target = Overtaken(stores["stranger"])
    with pytest.raises(Conflict):
        verb(stores, target, make_current=make_current)
    assert current(target) == stores["own"]
    assert not target.exists(source_key(tiny.NAME, "numbers_csv"))


def test_what_is_pinned_elsewhere_is_pinned_here_and_still_not_current(stores: dict[str, Any]) -> None:
    source, target = MemoryStorage(), MemoryStorage()
    copy(None, stores["source"], source, versions="all")
    pin(f"{tiny.NAME}@{stores['old']}", source)
    copy(tiny.NAME, stores["stranger"], target)
    copy(tiny.NAME, source, target, versions="pinned")
    assert (pins(StoredDataset(target, tiny.NAME)), current(target)) == ([stores["old"]], stores["own"])


# --expect.


def test_a_bundle_with_another_digest_than_the_expected_one_is_not_stored(stores: dict[str, Any]) -> None:
    data, target = bundled(stores["source"]), MemoryStorage()
    right = sha256_hex(data)
    for wrong in (sha256_hex(b""), sha256_hex(bundled(stores["stranger"]))):
        with pytest.raises(DigestMismatch, match=f"has sha256 {right}, not the expected {wrong}. Nothing was stored"):
            unbundle(io.BytesIO(data), target, expect=wrong)
    for none in ("", right[:-1], f"sha256:{right}", right + "\n"):
        with pytest.raises(UsageError, match="64 hex digits"):
            unbundle(io.BytesIO(data), target, expect=none)
    assert everything(target) == {}
    [done] = unbundle(io.BytesIO(data), target, expect=right.upper())
    assert done.current == stores["new"]


# The command line.


def test_the_command_line_says_both_digests_and_takes_what_bundle_printed(
    stores: dict[str, Any], tmp_path: Path
) -> None:
    line, tar, mine = CommandLine(tmp_path), tmp_path / "b.tar", f"{tmp_path}/mine"
    source = f"{stores['source'].root}"
    printed = line.run("bundle", "--into", str(tar), "--storage", source).stdout
    assert printed == f"{sha256_hex(tar.read_bytes())}  {tar}\n"
    digest = printed.split()[0]
    to_stdout = [*COMMAND, "bundle", "--into", "-", "--storage", source]
    piped = subprocess.run(to_stdout, env=line.environment, capture_output=True, timeout=250)
    assert piped.stdout == tar.read_bytes() and f"{digest}  -\n".encode() in piped.stderr
    copy(tiny.NAME, stores["stranger"], mine)

    refused = line.run("unbundle", str(tar), "--storage", mine, "--expect", "0" * 64, code=4)
    assert digest in refused.stderr and current(LocalStorage(Path(mine))) == stores["own"]
    for verb in (
        ["unbundle", str(tar), "--storage", mine, "--expect", digest],
        ["copy", tiny.NAME, "--from", source, "--to", mine],
        ["copy", "--all", "--from", source, "--to", mine],
    ):
        said = line.run(*verb)
        assert said.stdout == f"{tiny.NAME}@{stores['new']}\n"
        assert stores["own"] in said.stderr and stores["new"] in said.stderr and "--make-current" in said.stderr
        [done] = line.json(*verb)
        assert (done["current"], done["offered"]) == (stores["own"], stores["new"])
        assert current(LocalStorage(Path(mine))) == stores["own"]
    moved = line.run("unbundle", str(tar), "--storage", mine, "--make-current")
    assert moved.stdout == f"{tiny.NAME}@{stores['new']}  current\n" and stores["own"] not in moved.stderr

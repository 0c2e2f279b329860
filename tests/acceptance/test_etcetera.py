"""etcetera's acceptance checks, by their numbers. The rooms they are about test them at length."""

import json
import logging
import os
import shutil
import socket
from pathlib import Path
from typing import Any, Callable

import pytest
from children import in_child
from foldered import META, flower, held
from servers import KEY, SECRET, Proxy

from dataset_assets import checkout, load
from dataset_assets.cli.common import State
from dataset_assets.cli.main import commands
from dataset_assets.errors import (
    Conflict,
    DatasetAssetsError,
    IntegrityError,
    NameNotAllowed,
    NoSpace,
    NotFound,
    NotPrepared,
    SchemaError,
    UsageError,
)
from dataset_assets.moving.etc_settings import import_etc
from dataset_assets.moving.public import ALL_USERS, signed
from dataset_assets.moving.register import create, register
from dataset_assets.moving.remotes import listed_names
from dataset_assets.moving.share import pull, purge, push
from dataset_assets.storage import LocalStorage, MemoryStorage, Storage, open_storage
from dataset_assets.storage.connectors.bucket.address import bucket_of
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing.faults import failing

NAME = "shared.flower"


@pytest.fixture
def source(home: Path, fast_path: Path) -> Path:
    return flower(fast_path / "flower")


@pytest.fixture
def remote(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """The remote of the settings, a folder."""
    monkeypatch.setenv("DATASET_ASSETS_REMOTE", str(fast_path / "remote"))
    return LocalStorage(fast_path / "remote")


@pytest.fixture
def elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A function that goes to another machine: another home."""

    def go(name: str) -> Path:
        monkeypatch.setenv("DATASET_ASSETS_HOME", str(home.parent / name))
        return home.parent / name

    return go


def current(storage: "Storage | str") -> str | None:
    return StoredDataset(open_storage(storage), NAME).pointer().version


def change(source: Path) -> str:
    """Change the folder, and register it again."""
    (source / "data/train/rose/1.bin").write_bytes(b"another rose")
    return register(source, force=True)


def test_1_a_folder_of_partitions_is_a_dataset_and_each_violation_is_named_by_its_path(source: Path, remote: Storage):
    assert register(source).startswith(f"{NAME}@")
    broken = {
        "missing": lambda root: shutil.rmtree(root),
        "data": lambda root: shutil.rmtree(root / "data"),
        "data/": lambda root: [shutil.rmtree(path) for path in (root / "data").iterdir()],
        "data/stray": lambda root: (root / "data/stray").write_bytes(b""),
        "data/train/link": lambda root: (root / "data/train/link").symlink_to(root / "meta.json"),
        "data/train/pipe": lambda root: os.mkfifo(root / "data/train/pipe"),
    }
    for at, break_it in broken.items():
        root = flower(source.parent / "broken")
        break_it(root)
        with pytest.raises(DatasetAssetsError, match=str(root / ("" if at == "missing" else at)).rstrip("/")):
            register(root, "broken")
        shutil.rmtree(root, ignore_errors=True)
    assert listed_names(open_storage(source.parent / "home/storage")) == [NAME]
    (source / "data/stray").write_bytes(b"")
    with pytest.raises(Conflict, match=f"{source}/data/stray was added since"):
        push("flower")
    assert listed_names(remote) == []


def test_2_what_is_local_needs_no_configuration_and_no_network(source: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(*given: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)
    register(source)
    assert listed_names(open_storage(source.parent / "home/storage")) == [NAME]
    assert checkout("flower").meta == META
    purge("flower")
    with pytest.raises(UsageError, match="No remote is set.*DATASET_ASSETS_REMOTE"):
        push("flower")
    assert create(source.parent / "new").joinpath("data/test").is_dir()


def test_3_metadata_readme_and_assets_survive_byte_for_byte(source: Path, remote: Storage):
    register(source)
    push("flower")
    purge("flower")
    with pytest.raises(NotPrepared):
        checkout("flower")
    pull("flower")
    found = checkout("flower")
    assert held(found.root) == held(source) and found.meta == META
    for text, why in {"{": "is not JSON", "[1]": "holds a list, not a mapping", "[" * 100_000: "is not JSON"}.items():
        (source / "meta.json").write_text(text)
        with pytest.raises(SchemaError, match=f"{source}/meta.json {why}"):
            register(source, force=True)


def test_4_partitions_are_a_mapping_to_folders_of_files(source: Path):
    register(source)
    found = checkout("flower")
    assert [*found] == ["2020", "empty", "train"] and len(found) == 3 and [*found.values()] == [found[k] for k in found]
    assert (found["train"] / "rose/1.bin").read_bytes() == b"rose" and [*found["empty"].iterdir()] == []
    with pytest.raises(KeyError, match="no partition 'valid'. There are: 2020, empty, train"):
        found["valid"]
    views = load(NAME)
    assert [member.name for (member,) in views["train"].tuples("file")] == ["iris/ä b.bin", "rose/1.bin"]


def test_5_what_is_pushed_is_pulled_alike_on_another_machine_and_force_is_needed_to_replace(
    source: Path, seaweed: Any, monkeypatch: pytest.MonkeyPatch, elsewhere: Callable[[str], Path]
):
    for variable, value in seaweed.environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("DATASET_ASSETS_REMOTE", f"{seaweed.url}etc{os.urandom(4).hex()}/deep")
    old = register(source)
    push("flower")
    elsewhere("second")
    assert listed_names(open_storage(os.environ["DATASET_ASSETS_REMOTE"])) == [NAME]
    assert held(checkout("flower", pull=True).root) == held(source)
    elsewhere("home")
    new = change(source)
    with pytest.raises(Conflict, match="push --force shared.flower"):
        push("flower")
    push("flower", force=True)
    elsewhere("second")
    with pytest.raises(Conflict, match="pull --force shared.flower"):
        pull("flower")
    assert checkout("flower").version == old.partition("@")[2]
    pull("flower", force=True)
    assert held(checkout("flower").root) == held(source) and checkout("flower").version == new.partition("@")[2]


def test_6_the_public_flag_makes_exactly_the_objects_of_the_version_readable(
    source: Path, seaweed: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    for variable, value in seaweed.environment.items():
        monkeypatch.setenv(variable, value)
    s3 = open_storage(f"{seaweed.url}etc{os.urandom(4).hex()}/a b".replace(" ", "_"))
    register(source)
    push("flower", s3)
    assert public_keys(s3) == set()
    change(source)
    done = push("flower", s3, force=True, public=True)
    version = StoredDataset(s3, NAME).version(done.versions[0])
    names = {f"/{split}/index/{digest}.json" for split, digest in version.splits.items()}
    found = public_keys(s3)
    assert {key.removeprefix("shared/flower") for key in found if "/index/" in key} == names
    assert len(found) == 2 * len(version.splits) + 1 and "shared/flower/current.json" not in found
    # This server stores the lists, but asks everyone for credentials.
    assert "does not follow them" in caplog.text
    push("flower", s3, tgz=True, public=True)
    assert public_keys(s3) == found | {"flower.tgz"}
    with pytest.raises(UsageError, match="on s3: only, not on file:"):
        push("flower", source.parent / "remote", public=True)
    assert not (source.parent / "remote").exists()


def public_keys(s3: Storage) -> set[str]:
    """Return the keys of the objects that everyone may read, by their lists."""
    return {key for key in s3.list("") if ALL_USERS in signed(bucket_of(s3.url), "GET", key, {})[1]}


def test_7_credentials_come_from_the_settings_of_etcetera_or_the_environment_and_unknown_keys_are_named(
    source: Path, seaweed: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(source.parent / "config"))
    register(source)
    endpoint, etc = seaweed.environment["AWS_ENDPOINT_URL"], source.parent / "etc.toml"
    etc.write_text(
        f'url = "{seaweed.url}"\nendpoint_url = "{endpoint}"\naws_access_key_id = "{KEY}"\n'
        f'aws_secret_access_key = "{SECRET}"\n'
    )
    found = import_etc(etc)
    with pytest.raises(DatasetAssetsError):
        push("flower")
    for line in (found.credentials or etc).read_text().splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        monkeypatch.setenv(name, value)
    try:
        assert push("flower").current and NAME in listed_names(open_storage(found.remote))
    finally:
        purge("flower", storage=found.remote)
    etc.write_text('url = "s3://flowers"\nbuckets = 1\naws_key = "x"\n')
    with pytest.raises(UsageError, match="unknown keys buckets, aws_key"):
        import_etc(etc)


@pytest.mark.parametrize("damage", ["truncated", "corrupt", "empty", "missing", "pointer"])
def test_8_a_forced_pull_of_a_damaged_remote_leaves_the_old_copy(source: Path, remote: Storage, damage: str):
    old = register(source)
    push("flower")
    change(source)
    push("flower", force=True)
    # This machine has the old version only.
    shutil.rmtree(source.parent / "home/storage")
    (source / "data/train/rose/1.bin").write_bytes(b"rose")
    assert register(source) == old
    key = next(
        key for key in sorted(remote.list("")) if key.endswith(".arrow") and b"another" in remote.get(key).read()
    )
    data = remote.get(key).read()
    spoilt = {"truncated": data[:-9], "corrupt": data.replace(b"another", b"anothex"), "empty": b""}
    if damage == "pointer":
        remote.put("shared/flower/current.json", b"no pointer")
    elif damage == "missing":
        remote.delete(key)
    else:
        remote.put(key, spoilt[damage])
    with pytest.raises((IntegrityError, NotFound)):
        pull("flower", force=True)
    assert f"{NAME}@{checkout('flower').version}" == old and held(checkout("flower").root) == held(source)


def test_9_a_pull_that_is_killed_or_fills_the_disk_leaves_all_or_nothing(source: Path, remote: Storage):
    register(source)
    push("flower")
    purge("flower")
    shutil.rmtree(source.parent / "home")
    done, n = False, 1
    while not done:
        kind = "kill" if n % 2 else "ENOSPC"
        done = in_child(lambda n=n, kind=kind: pulled_with_fault(n, kind)) == 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATASET_ASSETS_REMOTE", "")
            try:
                assert held(checkout("flower").root) == held(source)
            except NotPrepared:
                assert not done
        if not done:
            purge_if_there()
        n += 5
    assert n > 20
    assert [path for path in (source.parent / "home/cache").rglob("*.part")] == []


def pulled_with_fault(n: int, kind: Any) -> None:
    with failing(n, kind) as calls:
        try:
            checkout("flower", pull=True)
        except NoSpace:
            os._exit(28)
    os._exit(1 if calls.tripped else 0)


def purge_if_there() -> None:
    try:
        purge("flower")
    except NotPrepared:
        pass


def test_10_hostile_names_of_a_remote_are_refused_and_nothing_is_written_outside(home: Path):
    from dataset_assets import Dataset, Files, Split, prepare

    for name in ("../up", "/etc/absolute", "a/../../up", "a\\b", "", "a/./b"):
        evil = Dataset("shared.evil", "Evil.", {"file": Files()}, {"train": Split(one_file, name=name)})
        prepare(evil)
        with pytest.raises(DatasetAssetsError, match="leads out of its folder"):
            checkout("evil")
        assert not [path for path in home.parent.rglob("*") if path.name in ("up", "absolute")]
        purge("evil")


def one_file(name: str) -> Any:
    yield {"file": (name, b"evil")}


BAD_NAMES = ["", "../up", "/etc", "-f", "a/b", "..", "a\n", "a\x00", "Flower", "a b", "ä", "a" * 300, "a__b", "a@b"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_11_every_verb_refuses_a_bad_name_and_names_one_that_is_allowed(source: Path, remote: Storage, name: str):
    acts: list[Callable[[], Any]] = [
        lambda: register(source, name),
        lambda: push(name),
        lambda: pull(name),
        lambda: purge(name),
        lambda: checkout(name),
    ]
    for act in acts:
        with pytest.raises(NameNotAllowed):
            act()
    assert held(source) == held(flower(source.parent / "same"))


def test_11_purge_follows_no_link_and_never_touches_the_source(source: Path, fast_path: Path):
    register(source)
    before = held(source)
    stored = fast_path / "home/storage/shared/flower/train"
    shutil.move(stored, fast_path / "outside")
    stored.symlink_to(fast_path / "outside")
    with pytest.raises(DatasetAssetsError, match="is a link to"):
        purge("flower")
    assert held(source) == before and [*(fast_path / "outside").iterdir()]
    stored.unlink()
    purge("flower")
    assert held(source) == before


def test_12_opening_pulls_once_and_then_needs_no_network(
    source: Path, proxy: Proxy, seaweed: Any, monkeypatch: pytest.MonkeyPatch, elsewhere: Callable[[str], Path]
):
    for variable, value in {**seaweed.environment, "AWS_ENDPOINT_URL": proxy.url}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("DATASET_ASSETS_REMOTE", f"{seaweed.url}etc{os.urandom(4).hex()}")
    register(source)
    push("flower")
    elsewhere("second")
    first = checkout("flower", auto_install=True)
    asked = len(proxy.requests)
    proxy.fault = lambda method, path: "reset"
    again = checkout("flower", auto_install=True)
    assert (again.root, again.version) == (first.root, first.version) and held(again.root) == held(source)
    assert len(proxy.requests) == asked


def test_13_an_unchanged_push_moves_nothing_and_equal_folders_are_equal_datasets(source: Path, remote: Storage):
    first = register(source)
    assert push("flower").bytes > 0
    assert (push("flower").files, push("flower").bytes) == (0, 0)
    copied = shutil.copytree(source, source.parent / "elsewhere/flower")
    os.utime(copied / "meta.json", (0, 0))
    assert register(copied, storage=MemoryStorage()) == first
    os.utime(source / "meta.json", (0, 0))
    assert push("flower").files == 0, "only the time of a file changed"


def test_14_a_thousand_files_are_moved_by_few_requests(
    fast_path: Path, home: Path, seaweed: Any, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
):
    """benchmarks/sharing.py takes the seconds, beside etcetera's, rclone's and dvc's."""
    for variable, value in seaweed.environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    source, remote = fast_path / "many", open_storage(f"{seaweed.url}many{os.urandom(4).hex()}")
    for i in range(1000):
        path = source / f"data/part_{i % 5}/{i:04d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(i.to_bytes(2, "big") * 50)
    (source / "meta.json").write_text("{}")

    def asked(act: Callable[[], object]) -> int:
        proxy.requests.clear()
        act()
        return len(proxy.requests)

    register(source)
    counts = {"push": asked(lambda: push("many", remote))}
    purge("many")
    counts["pull"] = asked(lambda: pull("many", remote))
    counts["names"] = asked(lambda: listed_names(remote))
    assert held(checkout("many").root) == held(source)
    assert counts["push"] <= 60 and counts["pull"] <= 30 and counts["names"] <= 8, counts


def test_15_an_error_is_one_line_and_the_code_of_its_class(
    source: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    logger = logging.getLogger("dataset_assets")
    before = logger.handlers, logger.propagate, logger.level

    def line(*given: str) -> str:
        capsys.readouterr()
        commands.main([*given], prog_name="dataset-assets", standalone_mode=False, obj=State())
        return capsys.readouterr().out.strip()

    try:
        pinned = line("register", str(source), "as", "flower")
        assert pinned.startswith(f"{NAME}@")
        root = line("checkout", "flower")
        assert held(Path(root)) == held(source)
        assert json.loads(line("register", "-f", str(source), "--json"))[0]["id"].startswith(f"{NAME}@")
        monkeypatch.setenv("DATASET_ASSETS_REMOTE", str(source.parent / "remote"))
        assert line("push", "flower") == pinned == line("pull", "flower")
        assert line("ls", "--remote") == NAME and json.loads(line("ls", "-r", "--json")) == [{"name": NAME}]
        assert line("purge", "flower") == ""
        for given, code in {("push", "flower"): 3, ("register", "/none"): 2, ("purge", "../x"): 2}.items():
            with pytest.raises(DatasetAssetsError) as error:
                line(*given)
            assert error.value.exit_code == code and "\n" not in str(error.value)
    finally:
        logger.handlers, logger.propagate, logger.level = before

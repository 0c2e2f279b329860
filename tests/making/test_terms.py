"""Terms: nothing is retrieved or made before they are accepted; what is stored is opened without them."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Iterator

import dagster as dg
import pytest
from orchestrated import failures, run

from dataset_assets import Array, Dataset, RemoteFile, Split, SplitOf, load, prepare
from dataset_assets.definition.search import search
from dataset_assets.errors import DefinitionError, Refused
from dataset_assets.making.terms import settle
from dataset_assets.moving.verify import repair, verify
from dataset_assets.storage import open_storage
from dataset_assets.testing import FaultyServer

NAME, TERMS = "org.example.faces", "Only for research.\nNo \x1b[31mnames."


@pytest.fixture(autouse=True)
def config(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "dataset_assets"


def lines(table) -> Iterator[dict[str, int]]:
    for line in table:
        yield {"n": int(line)}


def counted(to: int) -> Iterator[dict[str, int]]:
    for n in range(to):
        yield {"n": n}


def same(whole):
    return whole


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/table.txt": b"1\n2\n"}) as server:
        yield server


def of_a_file(server: FaultyServer) -> Dataset:
    return Dataset(
        NAME, "Faces.", {"n": Array()}, {"all": Split(lines, table=RemoteFile(f"{server.url}/table.txt"))}, terms=TERMS
    )


def of_nothing(server: FaultyServer) -> Dataset:
    splits = {"all": Split(counted, to=3), "again": Split(same, whole=SplitOf("all"))}
    return Dataset(NAME, "Faces.", {"n": Array()}, splits, terms=TERMS)


@pytest.mark.parametrize("defined", [of_a_file, of_nothing])
def test_nothing_is_asked_retrieved_or_made_without_them_and_the_command_is_named(defined, server, home) -> None:
    with pytest.raises(Refused, match=r"terms of org.example.faces.*: dataset-assets prepare --accept-terms " + NAME):
        prepare(defined(server))
    with pytest.raises(Refused) as caught:
        prepare(defined(server), storage=(home / "other").as_uri())
    assert str(caught.value).endswith(f"--accept-terms {NAME} --storage {(home / 'other').as_uri()}")
    assert not server.requests and caught.value.exit_code == 8
    assert not [*open_storage((home / "storage").as_uri()).list("")]


@pytest.mark.parametrize("defined", [of_a_file, of_nothing])
def test_they_are_accepted_once_by_an_argument_until_the_text_changes(defined, server) -> None:
    dataset = defined(server)
    prepare(dataset, accept_terms=True)
    assert prepare(replace(dataset, version="2"))["all"].only("n").rows(slice(0, 2))["n"].shape == (2,)
    with pytest.raises(Refused):
        prepare(replace(dataset, version="3", terms="Other terms."))


@pytest.mark.parametrize("setting, fine", [(NAME, True), ("a.b,org.example.*", True), ("org.example.face", False)])
def test_a_setting_accepts_them_by_name_and_nothing_is_remembered(
    setting: str, fine: bool, server, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_ACCEPT_TERMS", setting)
    if fine:
        assert len(prepare(of_a_file(server))["all"]) == 2
    else:
        with pytest.raises(Refused):
            prepare(of_a_file(server))
    assert not config.exists()


def test_what_is_stored_is_opened_listed_and_verified_without_them(server, config: Path, home: Path) -> None:
    prepare(of_a_file(server), accept_terms=True)
    shutil.rmtree(config)
    server.forget()
    store = open_storage((home / "storage").as_uri())
    assert len(load(NAME)["all"]) == 2 and not verify(NAME, store).damaged
    assert search(["faces"], [of_a_file(server)])
    assert len(prepare(of_a_file(server))["all"]) == 2, "nothing is missing"
    raw = next(path for path in (home / "storage").glob("**/raw/*/*") if path.suffix != ".json")
    raw.write_bytes(b"")
    with pytest.raises(Refused):
        prepare(of_a_file(server), refresh=True)
    assert not server.requests
    assert repair(verify(NAME, store), store, None).left


def test_a_run_of_dagster_fails_with_the_command_and_works_once_they_are_accepted(server) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        [said] = failures(run(of_a_file(server), instance)).values()
        assert f"prepare --accept-terms {NAME}" in said and not server.requests
        settle(of_a_file(server), accept_terms=True)
        assert run(of_a_file(server), instance).success


@pytest.mark.parametrize("terms", [" \n", 5])
def test_terms_that_are_no_text_are_refused(terms) -> None:
    with pytest.raises(DefinitionError, match="terms"):
        Dataset(NAME, "Faces.", {"n": Array()}, {"all": Split(counted, to=3)}, terms=terms)

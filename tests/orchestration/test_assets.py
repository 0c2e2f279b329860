"""Parts of a dataset in Dagster: what may be materialised alone, how it is selected, named and described."""

import re
from pathlib import Path
from typing import Any, Iterator

import dagster as dg
import numpy as np
import pytest
import tiny
from orchestrated import NUMBERED, QUIET, Calls, assets_in, checks, group, group_name, key, made, numbered, run

from dataset_assets import Array, Bytes, Columns, Dataset, Split, View, load, prepare
from dataset_assets.errors import NotPrepared, UnknownDataset
from dataset_assets.orchestration import definitions
from dataset_assets.orchestration.definitions import defs
from dataset_assets.storage import LocalStorage
from dataset_assets.testing import FaultyServer

TINY = tiny.NAME.replace(".", "/")


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/numbers.csv": tiny.NUMBERS}) as server:
        yield server


@pytest.fixture
def dataset(server: FaultyServer) -> Dataset:
    return tiny.tiny(server.url + "/")


def split_of(name: str) -> dg.AssetSelection:
    """The group of a split has its streams, too."""
    return group(f"{TINY}/{name}")


def test_one_raw_file_may_be_made_alone(
    home: Path, dataset: Dataset, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    result = run(dataset, instance, selection=[key(f"{TINY}/raw/numbers_csv")])
    assert list(made(result)) == [f"{TINY}/raw/numbers_csv"]
    assert {stored.split("/")[3] for stored in LocalStorage(home / "storage").list("")} == {"raw"}
    assert len(server.requests) == 1


def test_of_several_raw_files_one_may_be_made_alone(home: Path, instance: dg.DagsterInstance) -> None:
    from orchestrated import two_files

    with FaultyServer({"/a.csv": b"1\n", "/b.csv": b"2\n"}) as server:
        result = run(two_files(server.url), instance, selection=[key("org/example/two/raw/b_csv")])
        assert list(made(result)) == ["org/example/two/raw/b_csv"]
        assert [request.path for request in server.requests] == ["/b.csv"]


def test_one_split_may_be_made_alone_of_files_that_are_there(
    home: Path, dataset: Dataset, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    assert run(dataset, instance, selection=group(f"{TINY}/raw")).success
    result = run(dataset, instance, selection=split_of("test"))
    assert set(made(result)) == {f"{TINY}/test", *(f"{TINY}/test/{stream}" for stream in tiny.STREAMS)}
    with pytest.raises(NotPrepared):
        load(tiny.NAME)
    assert len(server.requests) == 1


def test_a_stream_that_is_asked_for_alone_stores_the_whole_split_once(home: Path, instance: dg.DagsterInstance) -> None:
    calls = Calls()

    def counted(first: int, last: int) -> Iterator[Columns]:
        calls()
        yield Columns(x=np.arange(first, last).reshape(-1, 1), y=np.arange(first, last) % 3)

    key_of = NUMBERED.replace(".", "/")
    stream = f"{key_of}/train/x"
    alone = run(numbered(of=counted), instance, selection=[key(stream)])
    assert alone.success and {*made(alone)} == {stream} and not checks(alone)
    split = run(numbered(of=counted), instance, selection=[key(f"{key_of}/train")])
    assert {*made(split)} == {f"{key_of}/train"} and {*checks(split)} == {"counts", "schema", "classes"}
    assert calls.count == 1
    assert run(numbered(of=counted), instance).success and calls.count == 2  # of the other split
    assert isinstance(load(NUMBERED)["train"], View)


def test_the_dataset_may_be_released_alone(home: Path, dataset: Dataset, instance: dg.DagsterInstance) -> None:
    for part in ("raw", "train", "test"):
        assert run(dataset, instance, selection=group(f"{TINY}/{part}")).success
    result = run(dataset, instance, selection=[key(TINY)])
    assert list(made(result)) == [TINY]
    assert tiny.plain(load(tiny.NAME)) == tiny.expected()


def test_without_its_splits_the_dataset_is_not_released_alone(
    home: Path, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    assert not run(dataset, instance, selection=[key(TINY)]).success
    assert not (home / "storage").exists()


def test_a_released_dataset_may_be_released_alone_without_a_history(
    home: Path, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    prepared = prepare(dataset)["train"].version
    assert run(dataset, instance, selection=[key(TINY)]).success
    assert load(tiny.NAME)["train"].version == prepared


def test_a_selection_names_groups_keys_and_kinds(dataset: Dataset) -> None:
    graph = definitions(datasets=[dataset]).resolve_asset_graph()

    def chosen(text: str) -> set[str]:
        return {found.to_user_string() for found in dg.AssetSelection.from_string(text).resolve(graph)}

    assert chosen(f'group:"{group_name(TINY)}__raw"') == {f"{TINY}/raw/numbers_csv", f"{TINY}/raw/backwards_csv"}
    assert chosen(f'key:"{TINY}/raw/*"') == chosen(f'group:"{group_name(TINY)}__raw"')
    assert chosen(f'+key:"{TINY}/raw/backwards_csv"') == chosen(f'group:"{group_name(TINY)}__raw"')
    assert chosen("kind:split") == {f"{TINY}/train", f"{TINY}/test"}
    assert chosen("kind:ragged") == {f"{TINY}/train/tokens", f"{TINY}/test/tokens"}
    assert chosen(f'+key:"{TINY}"+') >= chosen("kind:split")


def test_asset_keys_are_the_folders_of_the_storage_and_groups_tell_them_apart(home: Path, dataset: Dataset) -> None:
    graph = definitions(datasets=[dataset]).resolve_asset_graph()
    groups = {found.to_user_string(): graph.get(found).group_name for found in graph.get_all_asset_keys()}
    prepare(dataset)
    assert all((home / "storage" / name).is_dir() for name in groups)
    parts = {stored.rpartition("/")[0] for stored in LocalStorage(home / "storage").list("")}
    # Besides: where indexes and versions are, and the dataset's own folder with its pointer.
    own = {f"{TINY}/train/index", f"{TINY}/test/index", f"{TINY}/versions"}
    assert parts - own == set(groups) - {f"{TINY}/train", f"{TINY}/test"}
    assert groups[f"{TINY}/train/image"] == groups[f"{TINY}/train"] == group_name(f"{TINY}/train")
    assert groups[f"{TINY}/raw/numbers_csv"] == group_name(f"{TINY}/raw") and groups[TINY] == group_name(TINY)


def test_a_dataset_may_have_a_job_of_its_own(home: Path, server: FaultyServer, instance: dg.DagsterInstance) -> None:
    defined = definitions(datasets=[tiny.tiny(server.url + "/", job=True), numbered()])
    assert [job.name for job in defined.jobs or ()] == ["dataset_assets__org__example__tiny"]
    result = defined.resolve_job_def("dataset_assets__org__example__tiny").execute_in_process(
        instance=instance, run_config=QUIET
    )
    assert result.success and tiny.plain(load(tiny.NAME)) == tiny.expected()


def yielding() -> Iterator[Columns]:
    yield Columns(job=[1, 2])


def test_a_split_may_be_called_like_its_job(home: Path, instance: dg.DagsterInstance) -> None:
    dataset = Dataset("org.example.x", "X.", {"job": Array()}, {"job": Split(yielding)}, job=True)
    dg.Definitions.validate_loadable(definitions(datasets=[dataset]))
    assert run(dataset, instance).success


def test_every_shipped_definition_loads_and_says_what_it_is() -> None:
    loaded = defs()
    dg.Definitions.validate_loadable(loaded)
    graph = loaded.resolve_asset_graph()
    assert len(graph.get_all_asset_keys()) > 30
    for found in graph.get_all_asset_keys():
        node = graph.get(found)
        assert node.description and node.kinds and node.code_version
        assert "__".join(found.path).startswith(str(node.group_name)) and str(node.group_name).isidentifier()
        assert node.metadata["dataset_assets/dataset"].replace(".", "/") in found.to_user_string()


def test_words_that_dagster_does_not_take_spoil_no_definition() -> None:
    words = {"tags": ("natural language", "größe", "x" * 100, "!"), "owners": ("Ada", "ada@example.org", "team:data")}
    defined = definitions(datasets=[numbered(**words)])
    dg.Definitions.validate_loadable(defined)
    node = defined.resolve_asset_graph().get(key("org/example/numbered"))
    assert node.owners == ["ada@example.org", "team:data"]
    assert "**Owners**: Ada" in str(node.description)
    assert "dataset_assets/natural_language" in node.tags


def test_a_pattern_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(
        UnknownDataset, match=r"No dataset matches 'com\.lecum\.mnist'\. Did you mean 'com\.lecun\.mnist'"
    ):
        definitions("com.lecum.mnist")


def test_a_description_shows_what_the_definition_says() -> None:
    node = defs().resolve_asset_graph().get(key("com/lecun/mnist"))
    assert "**Licence**: CC-BY-SA-3.0" in str(node.description) and re.search(r"LeCun.*1998", str(node.description))
    raw = defs().resolve_asset_graph().get(key("com/lecun/mnist/raw/train_images_idx3_ubyte_gz"))
    assert "https://" in str(raw.description)
    assert assets_in(definitions("com.lecun.mnist")) and Bytes().name == "bytes"


def test_no_secret_of_a_url_is_shown(home: Path) -> None:
    from dataset_assets import RemoteFile

    def of(table: Any) -> Iterator[Any]:
        yield {"n": 1}

    table = RemoteFile("https://ada:pw@example.org/a.csv?token=hush")
    dataset = Dataset("org.example.secret", "S.", {"n": Array()}, {"all": Split(of, table=table)})
    graph = definitions(datasets=[dataset]).resolve_asset_graph()
    shown = repr([graph.get(found) for found in graph.get_all_asset_keys()]) + str(
        [(graph.get(found).description, graph.get(found).code_version) for found in graph.get_all_asset_keys()]
    )
    assert "hush" not in shown and ":pw@" not in shown

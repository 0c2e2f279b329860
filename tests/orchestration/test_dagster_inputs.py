"""A released dataset as an input: which version, from which storage, and as what its annotation asks for."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Mapping

import dagster as dg
import pandas
import polars
import pyarrow
import pytest
import torch
from orchestrated import NUMBERED, QUIET, failures, group_name, key, numbered, run
from torch.utils.data import IterableDataset

from dataset_assets import View, load, prepare
from dataset_assets.errors import NameNotAllowed, UnknownDataset
from dataset_assets.orchestration import StorageIOManager, asset_in, dataset_specs, definitions
from dataset_assets.storage import open_storage

PLACE = NUMBERED.replace(".", "/")
# What older versions take as an annotation of several splits.
MAPPINGS = [dict] if dg.__version__ < "1.13" else [dict, Mapping]


def reader(annotation: Any, given: dg.AssetIn, name: str = "read") -> Any:
    """Return an asset whose input has an annotation, and the list to which it adds what it is given."""
    seen: list[Any] = []

    def read(data):  # type: ignore[no-untyped-def]
        seen.append(data)

    read.__annotations__ = {"data": annotation, "return": None}
    return dg.asset(name=name, ins={"data": given})(read), seen


def given(annotation: Any, of: dg.AssetIn, instance: dg.DagsterInstance) -> Any:
    """Return what an asset with this input is given, in a run of its own."""
    asset, seen = reader(annotation, of)
    result = run(numbered(), instance, more=[asset, *BARE], selection=[asset])
    return seen[0] if result.success else failures(result)["read"]


TRAIN = asset_in(NUMBERED, "train")
ALL = asset_in(NUMBERED)
BARE = [dg.AssetSpec(name).with_io_manager_key("dataset_io") for name in (key("org/example/absent"), key("theirs"))]


def test_a_split_is_a_view_or_what_the_annotation_asks_for(home: Path, instance: dg.DagsterInstance) -> None:
    prepare(numbered())
    labels = [sample["y"] for sample in load(NUMBERED, "train")]
    for annotation in (View, Any, View | None):
        view = given(annotation, TRAIN, instance)
        assert isinstance(view, View) and (view.split, len(view)) == ("train", 20)
    frame = given(pandas.DataFrame, TRAIN, instance)
    assert type(frame) is pandas.DataFrame and frame["y"].tolist() == labels
    table = given(pyarrow.Table, TRAIN, instance)
    assert type(table) is pyarrow.Table and table["y"].to_pylist() == labels
    other = given(polars.DataFrame, TRAIN, instance)
    assert type(other) is polars.DataFrame and other["y"].to_list() == labels
    tensors = given(torch.utils.data.Dataset, TRAIN, instance)
    assert isinstance(tensors, torch.utils.data.Dataset) and [int(one["y"]) for one in tensors] == labels
    passing = given(IterableDataset, TRAIN, instance)
    assert isinstance(passing, IterableDataset) and [int(one["y"]) for one in passing] == labels


def test_a_whole_dataset_is_a_mapping_of_what_its_annotation_names(home: Path, instance: dg.DagsterInstance) -> None:
    prepare(numbered())
    for mapping in MAPPINGS:
        views = given(mapping[str, View], ALL, instance)
        assert {split: type(view).__name__ and len(view) for split, view in views.items()} == {"test": 10, "train": 20}
        frames = given(mapping[str, pandas.DataFrame], ALL, instance)
        assert {split: (type(one), len(one)) for split, one in frames.items()} == {
            "test": (pandas.DataFrame, 10),
            "train": (pandas.DataFrame, 20),
        }
    assert [len(view) for view in given(dict, ALL, instance).values()] == [10, 20]
    assert given(View, dg.AssetIn(key(f"{PLACE}/train")), instance).split == "train"


@pytest.mark.parametrize(
    ("annotation", "of", "said"),
    [
        (View, ALL, "with the splits test, train, and its annotation is View. Name a split, as in asset_in(name, sp"),
        (pandas.DataFrame, ALL, "or annotate it as dict[str, DataFrame]."),
        (dict[str, View], TRAIN, "The input is one split, and its annotation is a mapping"),
        (dict, TRAIN, "The input is one split, and its annotation is a mapping"),
        (View, asset_in(NUMBERED, "tran"), "Did you mean 'train'"),
        (View, dg.AssetIn(key(f"{PLACE}/train"), metadata=TRAIN.metadata), "is not a release"),
        (View, asset_in("org.example.absent", "train"), "prepare org.example.absent"),
        (View, dg.AssetIn("theirs"), "The asset theirs is not one of dataset_assets"),
    ],
)
def test_an_input_that_cannot_be_is_refused_with_what_to_write(
    annotation: Any, of: dg.AssetIn, said: str, home: Path, instance: dg.DagsterInstance
) -> None:
    prepare(numbered())
    assert said in given(annotation, of, instance)


def test_names_are_checked_when_they_are_written() -> None:
    for name, split in (("mnist", None), ("org.example.two", "a b"), ("org.example.two", "raw")):
        with pytest.raises(NameNotAllowed):
            asset_in(name, split)
    with pytest.raises(UnknownDataset, match="Did you mean 'com.lecun.mnist'"):
        dataset_specs("com.lecum.mnist")


def test_the_input_is_the_release_not_what_was_made_since(home: Path, instance: dg.DagsterInstance) -> None:
    assert run(numbered(), instance).success
    assert not run(numbered(train=21), instance).success
    assert len(given(View, dg.AssetIn(key(f"{PLACE}/train")), instance)) == 21
    assert len(given(View, TRAIN, instance)) == len(load(NUMBERED, "train")) == 20


# Several storages, and several code locations.


def test_two_storages_live_in_one_project(home: Path, fast_path: Path, instance: dg.DagsterInstance) -> None:
    one, other = ((fast_path / name).as_uri() for name in ("one", "other"))
    theirs = replace(numbered(train=12), name="org.example.theirs")
    of_one, of_other = reader(View, TRAIN, "of_one"), reader(View, asset_in(theirs.name, "train"), "of_other")
    both = dg.Definitions.merge(
        definitions(datasets=[numbered()], storage=one),
        definitions(datasets=[theirs], storage=other),
        definitions("io.github.allisonhorst.*", storage=one),
        dg.Definitions([of_one[0], of_other[0]], executor=dg.in_process_executor),
    )
    chosen = dg.AssetSelection.assets("of_one", "of_other").upstream()
    job = dg.Definitions.merge(both, dg.Definitions(jobs=[dg.define_asset_job("all", chosen)])).resolve_job_def("all")
    assert job.execute_in_process(instance=instance, run_config=QUIET).success
    assert (len(of_one[1][0]), len(of_other[1][0])) == (20, 12)
    stored = [{name for name in open_storage(storage).list("org") if "current" in name} for storage in (one, other)]
    assert stored == [{f"{PLACE}/current.json"}, {"org/example/theirs/current.json"}]


def test_the_resource_key_comes_from_the_storage_or_is_given(fast_path: Path) -> None:
    def key_of(storage: str, **more: str) -> str:
        [found] = definitions(datasets=[numbered()], storage=storage, **more).resources or {}
        return found

    assert key_of("") == "dataset_io" and key_of("memory://a", resource_key="ours") == "ours"
    stores = ["memory://a", "memory://b", dg.EnvVar("A"), dg.EnvVar("B"), "s3://bucket/a", "s3://bucket/b"]
    found = [key_of(storage) for storage in stores]
    assert len({*found}) == len(stores) and found == [key_of(storage) for storage in stores]
    assert all(name.isidentifier() for name in found)
    # A password is no part of it.
    assert key_of("postgresql://ada:one@db.example.org/a") == key_of("postgresql://ada:two@db.example.org/a")


def test_another_code_location_reads_by_key_alone(home: Path, fast_path: Path, instance: dg.DagsterInstance) -> None:
    storage = (fast_path / "shared").as_uri()
    assert run(numbered(), instance, storage=storage).success
    assert run(numbered(train=15), instance, storage=storage).success
    bare = dg.AssetSpec(key(PLACE)).with_io_manager_key("dataset_io")
    for specs in (dataset_specs(datasets=[numbered()]), [bare]):
        asset, seen = reader(View, TRAIN)
        defined = dg.Definitions([*specs, asset], resources={"dataset_io": StorageIOManager(storage)})
        dg.Definitions.validate_loadable(defined)
        job = defined.resolve_implicit_global_asset_job_def()
        assert job.execute_in_process(instance=instance, run_config=QUIET).success
        assert len(seen[0]) == 15


def test_what_another_location_makes_is_external_and_in_the_graph() -> None:
    asset, _ = reader(View, asset_in("com.lecun.mnist", "train"))
    specs = dataset_specs("com.lecun.*", resource_key="theirs")
    graph = dg.Definitions([*specs, asset], resources={"theirs": StorageIOManager()}).resolve_asset_graph()
    node = graph.get(key("com/lecun/mnist"))
    assert node.is_external and node.group_name == group_name("com/lecun/mnist") and "digits" in str(node.description)
    assert graph.get(key("read")).parent_keys == {key("com/lecun/mnist")}
    assert [spec.key for spec in dataset_specs("com.lecun.mnist")] == [key("com/lecun/mnist")]

"""A file that stands for many is given to a ForEach, and becomes one for each partition."""

from pathlib import Path
from typing import Any

import pytest

from dataset_assets import Array, Dataset, DerivedFile, ForEach, RemoteFile, Split
from dataset_assets.definition.partitioned import of_partition, partitioned_files, with_partitions
from dataset_assets.errors import DefinitionError

AFTER = ("dbt", "orders")


def lines(table: Any) -> Any:
    yield from table


def file(url: str, **more: Any) -> RemoteFile:
    return RemoteFile(url, **{"after": AFTER} | more)


def test_each_partition_has_a_url_and_a_name_of_its_own() -> None:
    one = of_partition(file("https://lake.example/o/{partition}.csv"), "2026-01-02")
    assert (one.urls, one.identifier) == (("https://lake.example/o/2026-01-02.csv",), "2026_01_02_csv")
    inside = of_partition(file("https://lake.example/{partition}/o.csv"), "a/b c")
    assert (inside.urls, inside.identifier) == (("https://lake.example/a%2Fb%20c/o.csv",), "o_csv_a_b_c")
    assert of_partition(file("s3://lake/{partition}.csv"), "a=1").urls == ("s3://lake/a=1.csv",)
    mirrored = file("{partition}.csv", mirrors=("https://a.example/", "https://b.example/"), identifier="day")
    assert of_partition(mirrored, "1").urls == ("https://a.example/1.csv", "https://b.example/1.csv")
    assert of_partition(mirrored, "1").identifier == "day_1"
    assert partitioned_files(defined(file(Path("/lake/{partition}.csv")))).keys() == {"partition_csv"}  # type: ignore[arg-type]


def defined(one: RemoteFile) -> Dataset:
    return Dataset("org.example.orders", "O.", {"n": Array()}, {"all": Split(lines, table=ForEach(one))})


def test_partitions_take_the_place_of_the_file_in_their_order() -> None:
    dataset = defined(file("https://lake.example/{partition}.csv"))
    assert with_partitions(dataset, {}) is dataset and with_partitions(dataset, {("other",): ["1"]}) is dataset
    found = with_partitions(dataset, {AFTER: ["2", "10", "1"]})
    assert [*found.remote_files] == ["1_csv", "10_csv", "2_csv"] and not partitioned_files(found)


def test_what_cannot_stand_for_many_is_refused() -> None:
    many = file("https://lake.example/{partition}.csv")
    with pytest.raises(DefinitionError, match=r"Write table=ForEach\(RemoteFile"):
        Split(lines, table=many)
    with pytest.raises(DefinitionError, match="ForEach"):
        DerivedFile("x.csv", lines, table=many)
    for wrong in ({"digest": f"sha256:{'0' * 64}"}, {"size": 3}):
        with pytest.raises(DefinitionError, match="no digest and no size"):
            file("https://lake.example/{partition}.csv", **wrong)
    with pytest.raises(DefinitionError, match="has no {partition}"):
        file("{partition}.csv", mirrors=("https://a.example/", "https://b.example/all.csv"))
    with pytest.raises(DefinitionError, match=r"one of / \? # \*"):
        of_partition(file("s3://lake/{partition}.csv"), "a?b")
    for url in ("s3://lake/{partition}.csv", "file:///lake/{partition}.csv"):
        with pytest.raises(DefinitionError, match="Rename it"):
            of_partition(file(url), "a/b")
    with pytest.raises(DefinitionError, match="two files with the identifier"):
        with_partitions(defined(many), {AFTER: ["a-b", "a_b"]})
    # Without an asset, braces in a URL are what they are.
    assert Split(lines, table=RemoteFile("https://lake.example/{partition}.csv")).remote_files

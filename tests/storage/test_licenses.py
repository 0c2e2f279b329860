"""Licences travel with views, and a setting decides which ones are opened."""

import doctest
from dataclasses import replace
from typing import Any, Iterator

import dagster as dg
import pytest
from orchestrated import failures, run

import dataset_assets.storage.licenses as module
from dataset_assets import Array, Dataset, Split, View, load, prepare, view_from_json, view_of
from dataset_assets.encoding import Scaled
from dataset_assets.errors import Refused
from dataset_assets.storage.licenses import is_allowed


def counted(to: int) -> Iterator[dict[str, int]]:
    for n in range(to):
        yield {"n": n, "label": n % 2}


FREE = Dataset(
    "org.example.free",
    "Numbers.",
    {"n": Array(), "label": Array(classes=("even", "odd"))},
    {"train": Split(counted, to=8), "test": Split(counted, to=4)},
    target="label",
    license="MIT",
    checks={"leakage": "off"},
)
BOUND = replace(FREE, name="org.example.bound", license="LicenseRef-research")
UNSTATED = replace(FREE, name="org.example.unstated", license=None)


def test_the_example_in_the_docstring_runs() -> None:
    assert doctest.testmod(module).attempted


def test_they_travel_through_every_way_to_put_views_together(home) -> None:
    free, bound, unstated = (prepare(dataset)["train"] for dataset in (FREE, BOUND, UNSTATED))
    alone = {"org.example.free": ("MIT",)}
    both = {**alone, "org.example.bound": ("LicenseRef-research",)}
    stacked = [
        *free.random_split((0.5, 0.5), seed=1),
        free.shuffle(seed=1)[:3],
        free.filter((">=", 2), column="n"),
        free.encode(free.fit_encoders({"n": Scaled()})),
        free.map(dict),
        free.batch(2),
        free.cache(),
    ]
    assert [view.licenses for view in stacked] == [alone] * len(stacked)
    assert free.concat(bound).licenses == both == free.mix(bound, weights=(1, 1), seed=0, stop="first").licenses
    assert free.concat(unstated, view_of(n=[1], label=[0])).licenses == {**alone, "org.example.unstated": (None,)}
    assert view_of(n=[1]).licenses == {}
    assert view_from_json(free.concat(bound).to_json()).licenses == both


def test_versions_of_a_dataset_with_different_licences_show_both(home) -> None:
    old, new = prepare(FREE)["train"], prepare(replace(FREE, license="CC0-1.0"))["train"]
    assert old.concat(new).licenses == {"org.example.free": ("MIT", "CC0-1.0")}


NOT_SPDX = [
    "", " ", "public domain", "MIT, GPL-3.0-only", "MIT/GPL-3.0-only", "MIT AND", "AND MIT", "MIT AND OR X", "(MIT",
    "MIT)", "()", "MIT (X)", "MIT WITH", "(MIT) WITH X", "MIT and GPL-3.0-only", "MIT + X Y", "(" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize(
    "stated, allowed, fine",
    [
        ("MIT", ["mit"], True),
        ("CC-BY-SA-4.0", ["CC-BY-4.0"], False),
        ("CC-BY-SA-4.0", ["MIT", "CC-BY-*"], True),
        ("MIT OR GPL-3.0-only", ["MIT"], True),
        ("MIT AND GPL-3.0-only", ["MIT"], False),
        ("MIT AND GPL-3.0-only", ["GPL-*", "MIT"], True),
        ("(MIT OR X) AND Y", ["MIT", "Y"], True),
        ("(MIT OR X) AND Y", ["MIT"], False),
        ("(MIT OR X) AND Y", ["(MIT OR X) AND Y"], True),
        ("(MIT OR X) AND GPL-3.0-only", ["(mit", "mit"], False),
        ("MIT OR X AND Y", ["MIT"], True),
        ("X AND Y OR MIT", ["MIT"], True),
        ("X AND (Y OR MIT)", ["MIT"], False),
        ("((MIT))", ["MIT"], True),
        ("CC-BY-4.0 AND GPL-3.0-only", ["cc-by-*"], False),
        ("GPL-3.0-only AND MIT", ["*mit"], False),
        ("CC-BY-4.0  AND\tCC-BY-SA-4.0", ["cc-by-*"], True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", ["GPL-2.0-only"], False),
        ("GPL-2.0-only WITH Classpath-exception-2.0 OR X", ["GPL-2.0-only WITH Classpath-exception-2.0"], True),
        ("DocumentRef-a:LicenseRef-b", ["DocumentRef-a:*"], True),
        ("public domain", ["Public Domain"], True),
        *((text, ["*"], False) for text in NOT_SPDX),
        ("anything AND more", ["*"], True),
        (None, ["*"], False),
    ],
)
def test_an_expression_is_allowed_as_spdx_means_it(stated: Any, allowed: list[str], fine: bool) -> None:
    assert is_allowed(stated, allowed) is fine


@pytest.mark.parametrize("dataset, says", [(BOUND, "'LicenseRef-research'"), (UNSTATED, "states no licence")])
def test_the_setting_refuses_what_is_opened(dataset: Dataset, says: str, home, monkeypatch: pytest.MonkeyPatch) -> None:
    views, free = prepare(dataset), prepare(FREE)
    stack = free["train"].concat(views["train"]).to_json()
    monkeypatch.setenv("DATASET_ASSETS_ALLOW_LICENSES", "MIT, CC0-1.0")
    assert load(FREE.name, "train").licenses == {FREE.name: ("MIT",)}
    for opened in (
        lambda: load(dataset.name),
        lambda: load(dataset.name, "train"),
        lambda: view_from_json(stack),
        lambda: prepare(replace(dataset, version="2")),
    ):
        with pytest.raises(Refused, match=f"{dataset.name}.*{says}.*allows only MIT, CC0-1.0") as caught:
            opened()
        assert caught.value.exit_code == 8


def test_the_setting_holds_for_the_assets_of_others_in_dagster(home, monkeypatch: pytest.MonkeyPatch) -> None:
    @dg.asset(
        ins={"train": dg.AssetIn(dg.AssetKey(["org", "example", "bound", "train"]), input_manager_key="dataset_io")}
    )
    def model(train: View) -> int:
        return len(train)

    with dg.DagsterInstance.ephemeral() as instance:
        assert run(BOUND, instance, more=[model]).success
        monkeypatch.setenv("DATASET_ASSETS_ALLOW_LICENSES", "MIT")
        [said] = failures(run(BOUND, instance, more=[model])).values()
        assert "allows only MIT" in said

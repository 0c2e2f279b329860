"""What changed with a release, on the page of the dataset."""

import base64
import io
from typing import Any, Iterator

import dagster as dg
import pytest
from orchestrated import facts, made, run

from dataset_assets import Array, Dataset, Split, Text
from dataset_assets.orchestration import changes
from dataset_assets.orchestration.charts import COLOURS, HEIGHT, WIDTH, chart

NAME = "org.example.changing"


def rows(values: list[list[Any]]) -> Iterator[dict[str, Any]]:
    for word, label, number in values:
        yield {"word": word, "label": label, "number": number}


def of(*values: list[Any], **more: Any) -> Dataset:
    streams = {"word": Text(), "label": Array("uint8", classes=("no", "yes")), "number": Array()}
    return Dataset(NAME, "Words.", streams, {"all": Split(rows, values=[*values])}, tag="word", **more)


def released(dataset: Dataset, instance: dg.DagsterInstance) -> dict[str, Any]:
    result = run(dataset, instance)
    assert result.success
    return facts(made(result)["org/example/changing"])


def test_each_release_says_what_it_changed_and_dagster_plots_the_numbers(home) -> None:
    old, new = of(["a|b", 0, 1.0], ["b", 1, 2.0]), of(["a|b", 1, 1.0], ["c", 1, 9.0], ["d", 1, 9.0])
    with dg.DagsterInstance.ephemeral() as instance:
        first = released(old, instance)
        assert first["what changed"] == "Everything: no version was current before." and "samples added" not in first
        said = released(new, instance)
        assert [said[f"samples {kind}"] for kind in ("added", "removed", "changed")] == [2, 1, 1]
        assert f"Since `{first['version'][:12]}`:" in said["what changed"]
        assert "| all | 2 | 3 | 2 | 1 | 1 | 0 |" in said["what changed"]
        assert "all/label changed in 1 samples." in said["what changed"]
        assert said["what changed"].count("data:image/png;base64,") == 2
        again = released(new, instance)
        assert again["what changed"] == "Nothing: this version was released before."
        back = released(old, instance)
        assert back["samples added"] == 1 and back["version"] == first["version"]


def test_large_versions_are_not_read_but_the_command_is_named(home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST_BYTES", 10)
    with dg.DagsterInstance.ephemeral() as instance:
        first = released(of(["a", 0, 1.0]), instance)
        said = released(of(["b", 0, 1.0]), instance)
        command = f"    dataset-assets diff {NAME}@{first['version']} {NAME}@{said['version']}"
        assert command in said["what changed"].splitlines() and "samples added" not in said


def test_a_comparison_that_fails_does_not_fail_the_release(home, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise MemoryError("too much")

    monkeypatch.setattr(changes, "diff_versions", broken)
    with dg.DagsterInstance.ephemeral() as instance:
        released(of(["a", 0, 1.0]), instance)
        assert "could not be shown: MemoryError" in released(of(["b", 0, 1.0]), instance)["what changed"]


def test_a_chart_draws_both_counts_of_a_pair_beside_each_other() -> None:
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(chart([1, 0], [2, 4]).partition(",")[2]))).convert("RGB")
    assert picture.size == (WIDTH, HEIGHT)
    columns = {part: picture.getpixel((int(WIDTH * part), HEIGHT - 1)) for part in (0.15, 0.35, 0.65, 0.85)}
    white, grey, blue = COLOURS
    assert columns == {0.15: grey, 0.35: blue, 0.65: white, 0.85: blue}
    assert picture.getpixel((int(WIDTH * 0.85), 8)) == blue != picture.getpixel((int(WIDTH * 0.35), 8))
    assert chart([], []) and chart([0], [0])

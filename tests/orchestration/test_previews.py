"""What the UI shows of an asset: facts, pictures, rows; bounded, and never interpreted."""

import base64
import io
import json
import re
import time
from pathlib import Path
from typing import Any, Iterator

import dagster as dg
import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from media import picture, sound
from orchestrated import facts, made, run
from PIL import Image

from dataset_assets import Array, Audio, Bytes, Columns, Dataset, RemoteFile, Split, Table, Text, View, load, view_of
from dataset_assets import Image as Picture
from dataset_assets.orchestration import definitions, markdown, previews, specs
from dataset_assets.orchestration.thumbnails import pictures_in, sheet_of
from dataset_assets.testing import FaultyServer

LIMIT = 28_000
HOSTILE = [
    "![x](http://example.org/x.png)", "<script>alert(1)</script>", "a | b", "`code`", "**bold** _it_ ~~gone~~",
    "[link](javascript:alert(1))", "http://example.org www.example.org ada@example.org", "<http://example.org>",
    "\\`\\|", "# head", "&lt;b&gt; &amp; &#60;", "a\n\n- list\n```\nfence",
    "$x$", "trailing\\", "\u202egnp.x", "\x00\x1b[31m",
]  # fmt: skip


def of_table(text: str) -> list[list[Token]]:
    """Parse markdown as the UI does, and return what is in each cell of its table."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    kinds = [token.type for token in tokens]
    assert set(kinds) <= {
        f"{part}_{end}"
        for part in ("table", "thead", "tbody", "tr", "th", "td", "paragraph")
        for end in ("open", "close")
    } | {"inline"}, kinds
    return [token.children or [] for token in tokens if token.type == "inline"]


def shown(cell: list[Token]) -> str:
    """Return the text of a cell, which must be nothing but text."""
    assert {token.type for token in cell} <= {"text", "text_special"}, cell
    return "".join(token.content for token in cell).replace("\u200b", "")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_it_is(text: str) -> None:
    head, value = of_table(markdown.table([text], [[text]]))
    expected = " ".join("".join(c if c.isprintable() or c in "\n" else f"\\u{ord(c):04x}" for c in text).split())
    assert shown(head) == shown(value) == expected


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_any_text_is_one_cell_of_text(texts: list[str]) -> None:
    cells = of_table(markdown.table(texts, [texts]))
    assert len(cells) == 2 * len(texts)
    for cell in cells:
        shown(cell)


def of_prose(text: str) -> str:
    """Parse markdown as the UI does, and return its text, which must be nothing but text in paragraphs."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    assert {token.type for token in tokens} <= {"paragraph_open", "inline", "paragraph_close"}, tokens
    return "\n\n".join(shown(token.children or []) for token in tokens if token.type == "inline")


BLOCKS = ["# head", "> quote", "- item", "1. one", "1234) many", "a\n===", "+ x", "---", "    code", "a\n\n\n* b\n_c_"]


@pytest.mark.parametrize("text", [*HOSTILE, *BLOCKS, "a_b is x_1 - really (no)!"])
def test_hostile_prose_is_shown_as_it_is(text: str) -> None:
    visible = "".join(c if c.isprintable() or c in "\n" else f"\\u{ord(c):04x}" for c in text)
    expected = "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", visible) if part.strip())
    assert of_prose(markdown.prose(text)) == expected


@given(st.text(max_size=80))
def test_any_prose_is_text(text: str) -> None:
    of_prose(markdown.prose(text))


def test_what_an_author_wrote_is_text_in_the_descriptions_of_assets() -> None:
    hostile = "<img src=x onerror=alert(1)> [here](javascript:alert) ![](http://127.0.0.1/track)"

    def check(views: Any) -> bool:
        return bool(views)

    check.__doc__ = hostile
    defined = Dataset(
        "org.example.hostile", hostile, {"x": Array()}, {"train": Split(lambda: ())}, license=hostile, citation=hostile,
        owners=(hostile,), homepage="http://127.0.0.1/a?b=1", checks={"own": check},
    )  # fmt: skip
    described = str(specs.dataset_spec(defined, "dataset_io").description)
    [checked] = specs.check_specs(defined, dg.AssetKey("x"), ["own"])
    for text in (described, str(checked.description)):
        kinds = {each.type for token in MarkdownIt("commonmark").parse(text) for each in token.children or []}
        assert kinds <= {"text", "text_special", "strong_open", "strong_close"}, kinds
    assert "http://127.0.0.1/a?b=1" in described


def test_no_address_becomes_a_link() -> None:
    linking = MarkdownIt("commonmark", {"linkify": False})
    for text in (
        "http://example.org",
        "HTTPS://example.org",
        "www.example.org",
        "ada@example.org",
        "ftp://example.org",
    ):
        assert text not in markdown.escaped(text) and linking.render(markdown.escaped(text))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"\x00\xff", "2 bytes 00 ff"),
        (memoryview(b"x" * 1000), "1,000 bytes 78"),
        (np.zeros((3, 4), np.float32), "float32 3x4, 0.0 to 0.0"),
        (np.array([[np.nan] * 10]), "float64 1x10, nan to nan"),
        (np.array([1, 2]), "[1, 2]"),
        (np.array(["a"] * 10), "<U1 10"),
        (np.array([], np.int32), "[]"),
        (None, "None"),
        (float("nan"), "nan"),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, 6, 7, ...]"),
        ({"a": b"x", "b": [1]}, "a: 1 bytes 78, b: [1]"),
        ("y" * 1_000_000, "y" * 117 + "..."),
    ],
)
def test_values_are_worded_in_little(value: Any, expected: str) -> None:
    assert markdown.worded(value).startswith(expected[:100])
    assert shown([*of_table(markdown.table(["v"], [[value]]))[1]])[: len(expected)] == expected
    assert len(markdown.cell(value)) < 1000


# Pictures.


def decoded(uri: str) -> Image.Image:
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
    image.load()
    assert image.format == "PNG"
    return image


def noise(*shape: int, dtype: str = "uint8") -> Any:
    made = np.random.default_rng(0).integers(0, 256, shape)
    return (made / 255).astype(dtype) if dtype.startswith("f") else made.astype(dtype)


@pytest.mark.parametrize(
    "block",
    [
        noise(32, 28, 28),
        noise(32, 32, 32, 3),
        noise(32, 3, 32, 32),
        noise(32, 1, 28, 28),
        noise(32, 28, 28, 1),
        noise(32, 8, 8, dtype="float64"),
        noise(32, 64, 64, 3, dtype="float32"),
        noise(32, 16, 16, dtype="uint16"),
        noise(3, 500, 300, 3),
        noise(1, 4, 4),
        noise(32, 28, 28) > 128,
        np.full((4, 8, 8), np.nan),
        np.zeros((4, 8, 8), np.float32),
        np.array([np.full((8, 8), 1.7e308), np.full((8, 8), -1.7e308)]),
    ],
    ids=lambda block: f"{block.dtype} {block.shape}",
)
def test_pictures_of_any_kind_are_a_small_png(block: Any) -> None:
    uri = sheet_of(block, LIMIT)
    assert uri is not None and len(uri) <= LIMIT
    image = decoded(uri)
    assert image.width % min(8, len(block)) == 0 and image.height <= 192


@pytest.mark.parametrize(
    "block",
    [
        noise(32, 100), noise(0, 28, 28), noise(8, 3, 3), noise(8, 2, 500), noise(8, 28, 28, 4), noise(8, 9, 5000),
        noise(4, 4, 4, dtype="float32"), [1, 2], ["a"], [b"no picture"], [], np.array(["a"]),
        [b"\x89PNG\r\n\x1a\n broken"],
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_picture_is_none(block: Any) -> None:
    assert sheet_of(block, LIMIT) is None


def test_numbers_are_scaled_from_the_least_to_the_greatest() -> None:
    ramp = np.linspace(-3, 5, 64).reshape(1, 8, 8)
    [found] = pictures_in(ramp)
    assert (found.min(), found.max()) == (0, 255)
    assert (np.diff(found.reshape(-1).astype(int)) >= 0).all()
    bytes_ = noise(2, 8, 8) // 2
    assert (np.stack(pictures_in(bytes_)) == bytes_).all()
    with_gaps = np.where(ramp > 4, np.inf, ramp)
    assert pictures_in(with_gaps)[0].max() == 255


def test_a_sheet_shows_the_pictures_in_order() -> None:
    block = np.stack([np.full((28, 28), 8 * k, np.uint8) for k in range(32)])
    image = decoded(sheet_of(block, LIMIT) or "").convert("L")
    centres = [image.getpixel((48 * (k % 8) + 23, 48 * (k // 8) + 23)) for k in range(32)]
    assert centres == [8 * k for k in range(32)]


def encoded(block: Any, kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(block).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_files_that_are_pictures_are_shown(kind: str) -> None:
    uri = sheet_of([encoded(picture, kind) for picture in noise(5, 40, 60, 3)], LIMIT)
    assert uri is not None and decoded(uri).size == (5 * 48, 48)


def test_a_picture_that_would_fill_the_memory_is_not_opened() -> None:
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
    assert sheet_of([bomb.getvalue()], LIMIT) is None


# Samples.


SPREAD = [0, 1, 3, 4, 6, 7, 9, 10]
"""The rows that are shown of twelve."""


def shown_of(view: View) -> str:
    return previews.some_samples(view, view.streams)


def test_what_is_shown_of_samples_is_bounded() -> None:
    wide = {f"c{k}": ["z" * 100_000] * 40 for k in range(100)}
    text = shown_of(view_of(**wide))
    assert len(text) < LIMIT
    assert "and 84 more columns" in text
    assert len(of_table(text.rpartition("\n\n")[0])) == 9 * (1 + 16)


def test_several_streams_of_pictures_share_the_room() -> None:
    text = shown_of(view_of(**{f"p{k}": noise(32, 32, 32, 3) for k in range(12)}))
    assert len(text) < 2 * LIMIT
    assert sum(len(part) for part in text.split("\n\n") if part.startswith("![")) <= LIMIT + 200


def test_samples_that_are_sorted_by_class_are_shown_of_every_class() -> None:
    pictures = np.repeat(np.arange(8, dtype=np.uint8) * 30, 500)[:, None, None] + np.zeros((28, 28), np.uint8)
    sheet, rows = shown_of(view_of(picture=pictures, kind=np.repeat(np.arange(8), 500))).split("\n\n")
    cells = [shown(cell) for cell in of_table(rows)]
    assert cells[3::3] == [str(500 * k) for k in range(8)] and cells[5::3] == [str(k) for k in range(8)]
    image = decoded(sheet.removeprefix("![picture](").removesuffix(")")).convert("L")
    assert [image.getpixel((48 * (k % 8) + 23, 48 * (k // 8) + 23)) for k in range(32)] == [
        30 * (k // 4) for k in range(32)
    ]


def test_a_value_that_is_too_large_leaves_the_others_in_their_rows() -> None:
    text = shown_of(view_of(large=np.zeros((4, 700_000)), n=np.arange(4) * 5))
    cells = [shown(cell) for cell in of_table(text)]
    assert cells[:3] == ["#", "large", "n"]
    assert [cells[k : k + 3] for k in (3, 6, 9, 12)] == [
        ["0", "float64 700000, 0.0 to 0.0", "0"],
        ["1", "float64 700000, 0.0 to 0.0", "5"],
        ["2", "too large to show", "10"],
        ["3", "too large to show", "15"],
    ]


def test_what_people_look_for_comes_first_and_streams_in_the_order_of_the_definition(
    home: Path, instance: dg.DagsterInstance
) -> None:
    def words() -> Iterator[Any]:
        yield {"word": "one", "kind": 0, "a": 1}

    streams = {"word": Text(), "kind": Array("uint8", classes=("odd", "even")), "a": Array("int64")}
    dataset = Dataset("org.example.ordered", "O.", streams, {"all": Split(words)}, license="CC0-1.0")
    # Made, and found made already.
    for found in (of(dataset, instance), of(dataset, instance)):
        assert [*found] == [
            "samples", "classes of kind", "dagster/row_count", "dagster/column_schema", "bytes", "sources", "license",
            "sha256", "dataset_assets/index", "seconds", "dataset_assets/pointer",
        ]  # fmt: skip
        assert [column.name for column in found["dagster/column_schema"].columns] == [*streams]
        assert [shown(cell) for cell in of_table(found["samples"])][:4] == ["#", *streams]


def test_photographs_of_different_sizes_and_sounds_are_shown(home: Path, instance: dg.DagsterInstance) -> None:
    def recorded() -> Iterator[Any]:
        for k in range(3):
            yield {"photo": picture("PNG", 12 + k, 40), "sound": sound(800 + 100 * k, seed=k), "label": k}

    streams = {"photo": Picture(), "sound": Audio(), "label": Array("uint8", classes=("cat", "dog", "owl"))}
    dataset = Dataset(
        "org.example.recorded", "R.", streams, {"all": Split(recorded)}, sample="photo", target="label",
        owners=("team:birds", "Ada"), tags=("birds",),
    )  # fmt: skip
    result = run(dataset, instance)
    events = {name: facts(event) for name, event in made(result).items()}
    whole, split = events["org/example/recorded"], events["org/example/recorded/all"]
    sheets = dict(re.findall(r"!\[(\w+)\]\((data:[^)]+)\)", split["samples"]))
    assert decoded(sheets["photo"]).size == (3 * 48, 48) and decoded(sheets["sound"]).size == (240, 3 * 48)
    # Of a wave, each column has its least and its greatest value.
    drawn = np.asarray(decoded(sheets["sound"]).convert("L"))[:48]
    assert (drawn < 255).any(axis=0).mean() > 0.9
    columns = {column.name: (column.type, column.description) for column in split["dagster/column_schema"].columns}
    assert columns["label"] == ("uint8", "target. 3 classes: cat, dog, owl") and columns["photo"][1] == "sample"
    assert (whole["samples"], whole["samples of all"], whole["bytes"]) == (3, 3, split["bytes"])
    graph = definitions(datasets=[dataset]).resolve_asset_graph()
    for name in ("all", "all/photo"):
        node = graph.get(dg.AssetKey(["org", "example", "recorded", *name.split("/")]))
        assert node.owners == ["team:birds"] and "dataset_assets/birds" in node.tags


def test_the_release_says_when_its_files_were_retrieved(
    dataset: Dataset, home: Path, instance: dg.DagsterInstance
) -> None:
    before = time.time()
    found = facts(made(run(dataset, instance))["org/example/tiny"])
    assert before - 1 <= found["last retrieved"] <= time.time()


def test_large_samples_are_not_read_for_a_look(home: Path, instance: dg.DagsterInstance) -> None:
    def large() -> Iterator[Columns]:
        yield Columns(x=np.zeros((2, 5_000_000)), n=[1, 2])

    dataset = Dataset("org.example.large", "L.", {"x": Array(), "n": Array()}, {"all": Split(large)})
    event = made(run(dataset, instance))["org/example/large/all"]
    assert "too large to show" in facts(event)["samples"]


def of(dataset: Dataset, instance: dg.DagsterInstance, split: str = "all") -> dict[str, Any]:
    result = run(dataset, instance)
    event = made(result)[f"{dataset.name.replace('.', '/')}/{split}"]
    assert len(json.dumps({name: str(value.value) for name, value in event.metadata.items()})) < 3 * LIMIT
    return facts(event)


def test_every_format_has_a_preview(dataset: Dataset, home: Path, instance: dg.DagsterInstance) -> None:
    found = of(dataset, instance, "train")
    columns = {column.name: column.type for column in found["dagster/column_schema"].columns}
    assert columns.keys() == {*(tiny.STREAMS.keys() - {"row"}), "row.number", "row.half", "row.word"}
    assert columns["row.word"] == "string" and columns["image"] == "float32 2x3"
    text = found["samples"]
    cells = [shown(cell) for cell in of_table(text)]
    assert len(cells) == 7 * (1 + 9)
    assert "1 odd" in cells and "3 bytes 30 2c 0a" in cells and any("0.txt" in cell for cell in cells)


def test_the_facts_of_a_split(home: Path, instance: dg.DagsterInstance) -> None:
    def pictures() -> Iterator[Columns]:
        yield Columns(image=noise(12, 28, 28), kind=np.arange(12) % 3, text=HOSTILE[:12])

    classes = ("```\n<img src=x>", "![x](http://example.org/x.png)", "`|`")
    streams = {"image": Array(), "kind": Array(classes=classes), "text": Text()}
    dataset = Dataset("org.example.pictures", "P.", streams, {"all": Split(pictures)}, license="CC0-1.0")
    found = of(dataset, instance)
    index = load(dataset.name)["all"].origin.index
    assert found["dagster/row_count"] == 12 and found["license"] == "CC0-1.0"
    assert found["sha256"] == found["dataset_assets/index"] == index
    sheet, table = found["samples"].split("\n\n")
    assert decoded(sheet.removeprefix("![image](").removesuffix(")")).width == 8 * 48
    assert [shown(cell) for cell in of_table(table)][3::4][1:] == [" ".join(HOSTILE[k].split()) for k in SPREAD]
    histogram = [shown(cell) for cell in of_table(found["classes of kind"])]
    assert histogram[3:5] == ["``` <img src=x>", "4"] and histogram[6] == classes[1]


def test_a_split_without_samples_has_a_preview(home: Path, instance: dg.DagsterInstance) -> None:
    def nothing() -> Iterator[Columns]:
        yield Columns(kind=np.zeros(0, np.int64), picture=np.zeros((0, 28, 28), np.uint8), word=[])

    streams = {"kind": Array("int64", classes=("a", "b")), "picture": Array("uint8", (28, 28)), "word": Text()}
    dataset = Dataset("org.example.none", "N.", streams, {"all": Split(nothing)}, checks={"counts": "warn"})
    found = of(dataset, instance)
    assert found["dagster/row_count"] == 0 and "samples" not in found
    assert [shown(cell) for cell in of_table(found["classes of kind"])][3:5] == ["a", "0"]


def test_many_classes_and_fields_are_cut(home: Path, instance: dg.DagsterInstance) -> None:
    names = [f"field_{k}_{'x' * 50}" for k in range(600)]

    def wide() -> Iterator[Any]:
        for k in range(3):
            yield {"row": dict.fromkeys(names, "v" * 1000), "kind": k, "blob": b"\x00" * 100_000}

    streams = {
        "row": Table({name: "string" for name in names}),
        "kind": Array(classes=tuple(f"class {k}" for k in range(1000))),
        "blob": Bytes(),
    }
    found = of(Dataset("org.example.wide", "W.", streams, {"all": Split(wide)}), instance)
    assert "and 950 more classes" in found["classes of kind"]
    assert "more columns" in found["samples"]
    assert len(found["dagster/column_schema"].columns) == previews.SCHEMA


def test_a_preview_that_fails_costs_no_data(home: Path) -> None:
    def spoilt(view: Any) -> str:
        raise ValueError("`broken`")

    text = previews.tried(spoilt, None)
    assert "could not be shown" in text and "`" not in text


def test_the_facts_of_raw_files_streams_and_releases(home: Path, instance: dg.DagsterInstance) -> None:
    with FaultyServer({"/numbers.csv": tiny.NUMBERS}) as server:
        url = f"{server.url}/numbers.csv?token=hush"
        table = RemoteFile(url, identifier="numbers_csv")
        splits = {"all": Split(numbers, table=table)}
        result = run(Dataset("org.example.facts", "F.", {"n": Array("int64")}, splits), instance)
    raw, stream, split, release = (facts(made(result)[f"org/example/facts{part}"]) for part in ("/raw/numbers_csv", "/all/n", "/all", ""))  # fmt: skip # noqa: E501
    assert (
        raw["bytes"] == len(tiny.NUMBERS)
        and raw["source"] == raw["answered by"] == f"{server.url}/numbers.csv?token=***"
    )
    assert raw["dagster/uri"].startswith("file:///") and raw["sha256"] in raw["dagster/uri"]
    assert stream["dagster/row_count"] == 10 and stream["type"] == "int64" and stream["files"] == 1
    assert raw["sha256"] in split["sources"]
    assert release["version"] == load("org.example.facts")["all"].version
    assert f'load("org.example.facts@{release["version"]}")' in release["open it"]
    assert "hush" not in repr([raw, stream, split, release])


def numbers(table: Any) -> Iterator[dict[str, int]]:
    for line in table:
        yield {"n": int(line.partition(b",")[0])}

"""Stacks: written as JSON and read back, at another epoch, split, traced to the raw bytes, and reported."""

import json
import multiprocessing
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import numpy as np
import pytest
import stacked
import tiny
from stacked import GOLDEN, STACKS, digest_of, train, with_noise, with_noises, with_number

from dataset_assets import Array, Dataset, RemoteFile, Split, View, load, prepare, view_from_json, view_of
from dataset_assets.errors import (
    DecodeError,
    DigestMismatch,
    NotPrepared,
    Refused,
    SchemaError,
    UnknownStream,
    UsageError,
)
from dataset_assets.reading.views import Selected, operation
from dataset_assets.reading.views.document import OPERATIONS, document_of, packed, unpacked
from dataset_assets.reading.views.rows import Chain

# The fingerprint of each stack, and a digest of its samples in order: what was written must stay readable.
PUBLISHED = {
    "select": ("f4dd6620c11c55eb", "9aa403b243966658"),
    "slice": ("8884baf2ef0ac37f", "03741a08e9ff0148"),
    "shuffle": ("4a9fbe5e52e66d3e", "bd3dc11ce047e5e7"),
    "sort_by": ("744572c9aabda851", "09a8240f9b092954"),
    "filter": ("6c07b7f7ca4d3423", "b7a61631f2564adc"),
    "filter by function": ("d1ce4da896820a3b", "b7a61631f2564adc"),
    "repeat": ("9fcc3fac5bd5771b", "dc31db77891c2319"),
    "shard": ("d5be330bd960d21d", "ed3249e27a88746a"),
    "interleave": ("d33b0a4db4e32286", "7f57daddb79bdb36"),
    "mix": ("2c9fe3c6bde5eee2", "a8b4eb8ae9b2492d"),
    "map": ("0ee8078578772203", "de25171f236d577c"),
    "random map": ("b4578021c25ae70b", "ab06f829c58d65be"),
    "random blocks": ("73d7cdd9bf41a76e", "ab06f829c58d65be"),
    "only": ("67c67664ede82e9c", "6347bbe46f1892fe"),
    "tuples": ("a825580a1a4a42da", "d192d6b9a829076a"),
    "rename": ("86ed68bbd9090a98", "2b6b2120ce25dbe1"),
    "zip": ("507bd65b3c1d8dc8", "d2e7bbc42e7431c0"),
    "concat": ("d88bc39678753af5", "274698f44f2951d3"),
    "batch": ("8b35e20785d49a34", "0ab24fe6f6f9937b"),
    "cache": ("2f7d61c14ad1f34e", "b6774c90650f34b1"),
    "random_split": ("6529578d68c5993c", "43945b5d76ccbe22"),
    "stratified_split": ("054d3aa6f415a03d", "1ab7b183f0e9fe76"),
    "group_split": ("2a6d7b6b9755b165", "b7a61631f2564adc"),
    "hash_split": ("c38879b371193078", "fc20dbe8ef66af3f"),
    "kfold": ("c49bccf4ded462f8", "58a1502042779a42"),
    "nested_kfold": ("97b4383748a575f1", "fc20dbe8ef66af3f"),
    "five": ("ee1f1001151fdd5f", "1f60cd79ae2a4c40"),
}


def again(view: View, **more: Any) -> View:
    return view_from_json(view.to_json(), storage=GOLDEN, **more)


def numbers(n: int) -> View:
    return view_of(number=np.arange(n), group=np.arange(n) // 5, label=np.arange(n) % 3)


def of(view: View) -> list[int]:
    return list(view.to_numpy()["number"])


class TestJson:
    @pytest.mark.parametrize("name", STACKS)
    def test_of_a_stack_and_its_samples_are_those_that_were_published(self, name: str) -> None:
        view = STACKS[name](train())
        assert (view.fingerprint()[:16], digest_of(view)) == PUBLISHED[name]
        back = again(view, trust=["stacked"])
        assert (back.fingerprint()[:16], digest_of(back)) == PUBLISHED[name] and repr(back) == repr(view)

    def test_gives_the_same_samples_in_another_process(self) -> None:
        documents = json.dumps({name: make(train()).to_json() for name, make in STACKS.items()})
        command = [sys.executable, stacked.__file__]
        run = subprocess.run(command, input=documents, capture_output=True, text=True, cwd=Path(__file__).parent)
        assert run.returncode == 0, run.stderr
        assert json.loads(run.stdout) == {name: digest for name, (_, digest) in PUBLISHED.items()}

    def test_imports_nothing_unless_the_module_is_trusted_or_the_function_given(self) -> None:
        document = train().map(with_number).to_json()
        with pytest.raises(Refused, match="uses the function stacked:with_number, which is neither passed nor trusted"):
            view_from_json(document, storage=GOLDEN)
        for more in ({"trust": ["stacked"]}, {"functions": [with_number]}):
            assert view_from_json(document, storage=GOLDEN, **more)[2]["number"] == 2  # type: ignore[arg-type]
        hostile = document.replace("stacked:with_number", "os:system")
        with pytest.raises(Refused, match="os:system"):
            view_from_json(hostile, storage=GOLDEN, trust=["stacked"])
        borrowed = document.replace("stacked:with_number", "stacked:sys.exit")
        with pytest.raises(Refused, match="stacked:sys.exit is sys:exit, imported from another module"):
            view_from_json(borrowed, storage=GOLDEN, trust=["stacked"])

    def test_of_a_function_that_has_no_name_is_refused_by_what_it_is_called(self) -> None:
        def local(sample: Any) -> Any:
            return sample

        from functools import partial

        for function, called in ((lambda sample: sample, "<lambda>"), (local, "local"), (partial(local), "partial")):
            with pytest.raises(UsageError, match=f"{called}.* cannot be imported by its name"):
                train().map(function).to_json()
            assert len(train().map(function).fingerprint()) == 64

    def test_holds_long_selections_in_few_bytes_that_are_checked(self) -> None:
        rows = np.arange(100_000)[::3]
        assert len(json.dumps(packed(rows))) < 2000
        assert (unpacked(packed(rows)) == rows).all()
        found = packed(rows)
        with pytest.raises(DigestMismatch, match="Rows in a document have sha256"):
            unpacked({**found, "zlib": packed(rows + 1)["zlib"]})
        for wrong in ({**found, "zlib": "!"}, {**found, "count": 5}, {**found, "count": 1 << 40}, {}):
            with pytest.raises(DecodeError, match="rows that cannot be read"):
                unpacked(wrong)

    def test_that_is_none_is_refused_with_what_is_wrong(self) -> None:
        for wrong in ("", "[]", '{"format": 1, "views": []}', '{"format": 1, "views": [{"op": "map"}]}'):
            with pytest.raises(DecodeError, match="not a document of a stack"):
                view_from_json(wrong, storage=GOLDEN)
        document = document_of(train()[1:])
        with pytest.raises(DecodeError, match="has format 2; this release reads up to 1"):
            view_from_json({**document, "format": 2}, storage=GOLDEN)
        with pytest.raises(DecodeError, match="no operation 'shufle' here. Did you mean 'shuffle'"):
            view_from_json(json.dumps(document).replace('"select"', '"shufle"'), storage=GOLDEN)
        with pytest.raises(DecodeError, match="Invalid arguments for operation 'shuffle'"):
            view_from_json(json.dumps(document).replace('"select"', '"shuffle"'), storage=GOLDEN)
        with pytest.raises(DecodeError, match="samples 1 to 6 of a view of 6"):
            view_from_json(json.dumps(document).replace("[1, 6, 1]", "[1, 7, 1]"), storage=GOLDEN)

    def test_reaches_no_file_beside_the_storage(self, tmp_path: Path) -> None:
        text = train().to_json()
        found = json.loads(text)["views"][0]["arguments"]
        for field, wrong in (("index", "../" * 6 + "etc/passwd"), ("dataset", "../org"), ("split", "..")):
            with pytest.raises((DecodeError, UsageError)):
                view_from_json(text.replace(json.dumps(found[field]), json.dumps(wrong)), storage=GOLDEN)
        with pytest.raises(NotPrepared):
            view_from_json(text, storage=str(tmp_path))

    def test_of_values_in_memory_says_which_but_holds_none(self) -> None:
        view = numbers(5).shuffle(1)
        with pytest.raises(UsageError, match="values in memory, which are in no storage"):
            again(view)
        assert view.fingerprint() == numbers(5).shuffle(1).fingerprint() != numbers(6).shuffle(1).fingerprint()

    def test_names_a_kind_of_view_once(self) -> None:
        with pytest.raises(UsageError, match="'shuffle' already belongs to the operation Shuffled"):
            operation("shuffle")(Selected)

        class Own(Selected):
            pass

        with pytest.raises(UsageError, match="Own has no name of its own among the operations"):
            Own(train(), range(3)).to_json()
        assert all(kind.op == name for name, kind in OPERATIONS.items())

    def test_of_a_view_that_is_used_twice_has_it_once(self) -> None:
        view = numbers(8)
        for _ in range(30):
            view = view[:4].interleave(view[4:])
        assert len(document_of(view)["views"]) < 100


class TestAnOrder:
    def test_of_a_billion_rows_is_computed_where_it_is_read(self) -> None:
        class Huge(View):
            streams = ("number",)

            def __len__(self) -> int:
                return 10**9

            def rows(self, where: Any) -> Any:
                from dataset_assets.formats import Columns

                return Columns(number=np.arange(where.start, where.stop) if isinstance(where, slice) else where)

        start = time.process_time()
        view = Huge().shuffle(1)[::-1].shard(8, 3).shuffle(2).skip(5).repeat(2)
        assert len(view) == 2 * (10**9 // 8 - 5)
        found = [view[i]["number"] for i in (0, 10**8, -1)]
        assert len(set(found)) == 3 and view[len(view) // 2]["number"] == found[0]
        assert time.process_time() - start < 5

    def test_however_many_stand_on_each_other_is_one(self) -> None:
        view = numbers(100)
        stack = view.shuffle(1)[10:].shuffle(2).shard(3, 1).repeat(2)[::-1]
        assert isinstance(stack, Selected) and stack.parent is view and isinstance(stack.order, Chain)
        assert len(repr(stack).splitlines()) == 7

    def test_of_shuffled_samples_depends_on_seed_and_epoch(self) -> None:
        view = numbers(50)
        orders = [of(view.shuffle(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)]
        assert all(sorted(order) == list(range(50)) for order in orders)
        assert len(set(map(tuple, orders))) == 4

    def test_by_a_column_keeps_equal_samples_in_order_and_puts_none_last(self) -> None:
        view = view_of(word=["b", None, "a", "b"], number=[3, 1, 2, 1])
        assert of(view.sort_by("word")) == [2, 3, 1, 1]
        assert [sample["word"] for sample in view.sort_by("word", reverse=True)] == ["b", "b", "a", None]
        assert of(view.sort_by("number")) == [1, 1, 2, 3] and view.sort_by("number")[0]["word"] is None
        assert of(view.sort_by("number", reverse=True)) == [3, 2, 1, 1]
        assert view.sort_by("number", reverse=True)[2]["word"] is None


class TestAFilter:
    def test_keeps_what_a_comparison_or_function_says(self) -> None:
        view = numbers(12)
        assert of(view.filter(("<", 3), column="number")) == [0, 1, 2]
        assert of(view.filter(("not in", [0, 2]), column="label")) == [1, 4, 7, 10]
        assert of(view.filter(lambda found: found % 6 == 0, column="number")) == [0, 6]
        assert of(view.filter(lambda sample: sample["number"] == 7)) == [7]
        assert len(train().filter(("==", None), column="row.word")) == 1
        assert len(train().filter((">=", "a"), column="row.word")) == 3

    def test_that_cannot_be_says_so(self) -> None:
        view = numbers(3)
        with pytest.raises(UsageError, match="is a comparison, which needs a column"):
            view.filter(("<", 3))
        with pytest.raises(UsageError, match="is not a comparison"):
            view.filter(("~", 3), column="number")
        with pytest.raises(SchemaError, match="Return a boolean for each of the 3 values"):
            view.filter(lambda found: found, column="number")
        with pytest.raises(UnknownStream):
            view.filter(("<", 3), column="nothing")
        with pytest.raises(UnknownStream, match="name one of its fields, as row.number"):
            train().filter(("<", 3), column="row")


class TestAMap:
    def test_at_random_gives_each_row_its_numbers_in_any_order_and_way(self) -> None:
        view = numbers(40).map(with_noise, random=True, seed=1)
        noise = {sample["number"]: sample["noise"] for sample in view}
        assert len(set(noise.values())) == 40
        for other in (view.shuffle(3), view[::-1], numbers(40)[5:].map(with_noise, random=True, seed=1),
                      numbers(40).shuffle(2).map(with_noises, random=True, batched=True, seed=1)):  # fmt: skip
            assert all(noise[sample["number"]] == sample["noise"] for sample in other)
        assert view[7]["noise"] == noise[7] != view.at_epoch(1)[7]["noise"]

    def test_of_blocks_returns_as_many_samples_as_it_was_given(self) -> None:
        view = numbers(10)
        assert of(view.map(lambda block: {"number": block["number"] * 2}, batched=True)) == list(range(0, 20, 2))
        with pytest.raises(SchemaError, match="got 10 samples and returned 1"):
            view.map(lambda block: {"number": block["number"][:1]}, batched=True).to_numpy()
        with pytest.raises(SchemaError, match="returned a list"):
            view.map(lambda block: [1], batched=True)[0]

    def test_of_blocks_may_write_in_what_it_is_given(self) -> None:
        view = numbers(4)

        def doubled(block: Any) -> Any:
            block["number"] *= 2
            return block

        assert of(view.map(doubled, batched=True)) == [0, 2, 4, 6] and of(view) == [0, 1, 2, 3]


def test_what_is_cached_is_made_once_and_written_in_by_nobody() -> None:
    made = []

    def told(sample: Any) -> Any:
        made.append(sample["number"])
        return {**sample, "array": np.zeros(2)}

    view = numbers(3).map(told).cache()
    assert not made and of(view) == of(view) == [0, 1, 2] and sorted(made) == [0, 1, 2]
    view[0]["number"] = 9
    view[0]["array"][0] = 1
    assert view[0]["number"] == 0 and view[0]["array"][0] == 0


class TestAnEpoch:
    def test_is_in_every_shuffle_mix_and_random_map(self) -> None:
        view = numbers(60)
        stack = view.shuffle(1)[:30].mix(view[30:], weights=(1, 1), seed=2, stop=40).map(with_noise, random=True)
        other = stack.at_epoch(4)
        assert of(other) != of(stack) == of(other.at_epoch(0))
        assert repr(other).count("epoch=4") == 3
        assert view.at_epoch(4) is view

    def test_never_moves_a_sample_from_one_part_of_a_split_to_another(self) -> None:
        first, second = numbers(100).shuffle(1).map(with_noise, random=True).random_split((0.5, 0.5))
        for epoch in range(3):
            assert set(of(first.at_epoch(epoch))) == set(of(first))
            assert not set(of(first)) & set(of(second.at_epoch(epoch)))
        assert first[0]["noise"] != first.at_epoch(1)[0]["noise"]
        assert of(first.shuffle(3).at_epoch(1)) != of(first.shuffle(3))

    def test_is_no_negative_number(self) -> None:
        with pytest.raises(UsageError, match="epoch is -1"):
            numbers(3).at_epoch(-1)


SPLITS = {
    "random": lambda view: view.random_split((0.6, 0.3, 0.1), seed=3),
    "stratified": lambda view: view.stratified_split((0.6, 0.3, 0.1), by="label", seed=3),
    "group": lambda view: view.group_split((0.6, 0.3, 0.1), by="group", seed=3),
    "hash": lambda view: view.hash_split((0.6, 0.3, 0.1), by="number", seed=3),
    "folds": lambda view: [fold.held_out for fold in view.kfold(4, seed=3)],
    "stratified folds": lambda view: [fold.held_out for fold in view.kfold(4, by="label", seed=3)],
    "inner folds": lambda view: [
        view.nested_kfold(3, 2, outer_by="label", inner_by="label", seed=3)[0].held_out,
        *(fold.held_out for fold in view.nested_kfold(3, 2, outer_by="label", inner_by="label", seed=3)[0].inner),
    ],
}


class TestASplit:
    @pytest.mark.parametrize("name", SPLITS)
    def test_is_disjoint_covers_and_is_the_same_again(self, name: str) -> None:
        view = numbers(120)
        parts = SPLITS[name](view)
        assert sorted(number for part in parts for number in of(part)) == list(range(120))
        assert [of(part) for part in SPLITS[name](view)] == [of(part) for part in parts]
        if name != "inner folds":
            assert [of(view[part.indices]) for part in parts] == [of(part) for part in parts]

    def test_of_groups_keeps_each_together(self) -> None:
        parts = SPLITS["group"](numbers(120))
        groups = [set(part.to_numpy()["group"].tolist()) for part in parts]
        assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
        assert all(abs(len(part) - size) < 5 for part, size in zip(parts, (72, 36, 12)))

    def test_by_hash_moves_nobody_when_others_come_and_go(self) -> None:
        whole, fewer = SPLITS["hash"](numbers(120)), SPLITS["hash"](numbers(120)[30:])
        for part, smaller in zip(whole, fewer):
            assert [number for number in of(part) if number >= 30] == of(smaller)

    def test_that_cannot_be_says_so(self) -> None:
        view = view_of(number=np.arange(6), label=np.array([0, 0, 0, 0, 0, 1]), image=np.zeros((6, 2)))
        with pytest.raises(UsageError, match="sum to 0.7. Give positive ratios that sum to 1"):
            view.random_split((0.5, 0.2))
        with pytest.raises(UsageError, match="Class 1 has 1 sample, too few for 2 stratified parts"):
            view.stratified_split((0.5, 0.5), by="label")
        with pytest.raises(UsageError, match="Group 0 has 5 samples, but the largest part gets only 3"):
            view.group_split((0.5, 0.5), by="label")
        with pytest.raises(UsageError, match="No group is left for part 2"):
            view[::5].group_split((0.4, 0.3, 0.3), by="label")
        with pytest.raises(UsageError, match="6 samples cannot be split into 7 folds"):
            view.kfold(7)
        with pytest.raises(UsageError, match="has no target stream"):
            view.stratified_split((0.5, 0.5))
        with pytest.raises(SchemaError, match="is not a single number or text"):
            view.stratified_split((0.5, 0.5), by="image")
        with pytest.raises(UsageError, match="is not a key"):
            view.hash_split((0.5, 0.5), by="image")


class TestAReport:
    def test_of_sixty_thousand_samples_takes_less_than_a_second(self) -> None:
        view = view_of(image=np.zeros((60_000, 28, 28), np.uint8), label=np.arange(60_000) % 10)
        stack = view.shuffle(0).concat(view[:10]).random_split((0.5, 0.5))[0]
        start = time.process_time()
        stack.report()
        assert time.process_time() - start < 1

    def test_is_an_object_a_mapping_json_and_yaml(self) -> None:
        yaml = pytest.importorskip("yaml")
        report = train().shuffle(0)[:4].report()
        assert (report.length, report.kind, report.parents[0].kind) == (4, "Selected", "Shuffled")
        assert report.parents[0].parents[0].targets == {"even": 3, "odd": 3} and report.samples_per_second is None
        assert json.loads(report.to_json()) == yaml.safe_load(report.to_yaml()) == report.to_dict()
        assert train().report(speed=True).samples_per_second > 0  # type: ignore[operator]

    def test_follows_roles_and_classes_through_any_stack(self) -> None:
        view = train().rename(kind="label", picture="image")
        assert view.roles["target"] == "kind" and view.classes["kind"] == ("even", "odd")
        for stack in (view.shuffle(0), view.only("kind").zip(view.only("picture")), view.cache(), view.concat(view)):
            assert (stack.roles["target"], stack.roles["sample"]) == ("kind", "picture")
            assert set(stack.report().targets or ()) == {"even", "odd"}
        assert dict(view.only("picture").roles) == {"sample": "picture"}

    def test_follows_what_a_function_leaves_of_the_streams(self) -> None:
        view = train()
        assert dict(view.map(lambda sample: {"label": sample["label"]}).roles) == {"target": "label"}
        assert dict(view.map(lambda block: {"image": block["image"]}, batched=True).roles) == {"sample": "image"}
        assert dict(view.map(lambda sample: {"label": 1, "image": 2}).only("label").roles) == {"target": "label"}
        for unknown in (view[:0].map(dict), view.map(lambda sample: sample["label"]), view.tuples("image", "label")):
            assert dict(unknown.roles) == dict(view.roles)


# --- lineage

BYTES = np.random.default_rng(0).integers(0, 256, 300, np.uint8)
RAW = {"part0.bin": BYTES.tobytes(), "part1.bin": (255 - BYTES).tobytes()}


def letters(file: BinaryIO) -> Iterator[Any]:
    for number, byte in enumerate(file.read()):
        yield {"byte": byte + 256 * number}


def lettered(folder: Path) -> Dataset:
    for name, data in RAW.items():
        (folder / name).write_bytes(data)
    splits = {
        name.removesuffix(".bin"): Split(letters, file=RemoteFile(name, mirrors=(f"file://{folder}/",))) for name in RAW
    }
    return Dataset(name="org.example.lettered", summary="L.", streams={"byte": Array("int64")}, splits=splits)


REMADE = """
import io, json, sys
from pathlib import Path
from test_document import letters
from dataset_assets.core.files import sha256_in

folder, entries = Path(sys.argv[1]), json.load(sys.stdin)
raw = {sha256_in(io.BytesIO(p.read_bytes())): p.read_bytes() for p in folder.iterdir() if p.suffix == ".bin"}
print(json.dumps([list(letters(io.BytesIO(raw[digest])))[row]["byte"] for digest, row in entries]))
"""


def test_lineage_names_the_raw_bytes_that_make_the_sample_again_in_another_process(home: Path, tmp_path: Path) -> None:
    splits = prepare(lettered(tmp_path))
    one, two = splits["part0"], splits["part1"]
    stack = one.shuffle(1).mix(two[::-1].repeat(2), weights=(2, 1), seed=3, stop="all")[5:].random_split((0.9, 0.1))[0]
    stack = stack.at_epoch(2)
    chosen = np.random.default_rng(0).integers(0, len(stack), 200).tolist()
    entries = []
    for i in chosen:
        (entry,) = stack.lineage(i)
        assert entry.dataset == "org.example.lettered" and entry.version == one.version
        assert [file.name for file in entry.files] == [f"{entry.split}_bin"]
        entries.append([entry.files[0].sha256, entry.row])
    assert len({entry[0] for entry in entries}) == 2
    run = subprocess.run(
        [sys.executable, "-c", REMADE, str(tmp_path)],
        input=json.dumps(entries), capture_output=True, text=True, cwd=Path(__file__).parent,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == [int(stack[i]["byte"]) for i in chosen]


def test_lineage_has_an_entry_for_each_source() -> None:
    view = train()
    zipped = view.only("label").zip(view[::-1].only("text"))
    assert [entry.row for entry in zipped.lineage(1)] == [1, 4]
    assert [entry.row for entry in view[::-1].batch(4).lineage(1)] == [1, 0]
    assert numbers(3).lineage(-1)[0].files == ()
    with pytest.raises(IndexError):
        view.lineage(6)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_every_stack_pickles_to_another_process_and_is_read_there(method: str) -> None:
    views = [make(load(tiny.NAME, split="train", storage=GOLDEN)) for make in STACKS.values()]
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.map(digest_of, views) == [digest for _, digest in PUBLISHED.values()]

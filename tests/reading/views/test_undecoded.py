"""Views over pictures and sounds: prepared, loaded, batched; read as bytes, or past what is damaged."""

import hashlib
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest
from media import picture, sound

from dataset_assets import Array, Audio, Dataset, Image, Split, load, prepare
from dataset_assets.cli.text import samples as samples_shown
from dataset_assets.errors import CheckFailed, DecodeError, SchemaError, UnknownStream, UsageError
from dataset_assets.loader import Loader
from dataset_assets.reading.stored_files import index_of
from dataset_assets.reading.views.undecoded import encoded, facts_of, lenient, present, skipped

NAME = "org.example.media"
BAD = (3, 17)


def good(k: int) -> bytes:
    return picture("JPEG" if k % 2 else "PNG", seed=k)


def samples(count: int, bad: list[int]) -> Iterator[dict[str, Any]]:
    for k in range(count):
        yield {"image": b"not a picture" if k in bad else good(k), "sound": sound(40 + k % 3, seed=k), "label": k}


def defined(bad: tuple[int, ...] = (), check: Any = "decode", count: int = 20) -> Dataset:
    streams = {"image": Image("RGB", (12, 16), check=check), "sound": Audio(), "label": Array("int64")}
    splits = {"train": Split(samples, count=count, bad=list(bad))}
    return Dataset(NAME, "Pictures and sounds.", streams, splits, sample="image", target="label")


@pytest.fixture
def train(home: Path) -> Any:
    return prepare(defined())["train"]


@pytest.fixture
def damaged(home: Path) -> Any:
    return prepare(defined(BAD, "nothing"))["train"]


def test_pictures_and_sounds_come_out_as_arrays(train: Any) -> None:
    sample = train[5]
    assert (sample["image"].dtype, sample["image"].shape) == (np.uint8, (12, 16, 3))
    assert (sample["sound"].dtype, sample["sound"].shape) == (np.float32, (42, 1))
    assert train.columns["sound"].kind.rate == 8000


def test_a_batch_of_equal_pictures_is_one_array_and_of_unequal_sounds_a_list(train: Any) -> None:
    batch = train[::-1].batch(8)[0]
    assert batch["image"].shape == (8, 12, 16, 3) and batch["image"].flags.writeable
    assert [len(one) for one in batch["sound"][:3]] == [41, 40, 42]
    np.testing.assert_array_equal(batch["image"][1], train[18]["image"])


def test_all_ways_to_read_agree(train: Any) -> None:
    one_by_one = [train[i]["image"] for i in range(20)]
    np.testing.assert_array_equal(one_by_one, [sample["image"] for sample in train])
    np.testing.assert_array_equal(one_by_one, np.concatenate([b["image"] for b in Loader(train, 6).epoch(0)]))


def test_what_is_no_picture_is_an_error_at_preparation_that_names_the_sample(home: Path) -> None:
    with pytest.raises(SchemaError, match="split train: stream image: sample 3: 13 bytes that are not a picture"):
        prepare(defined(BAD))


def test_pictures_are_compared_by_their_bytes_without_decoding_them(home: Path) -> None:
    dataset = Dataset(
        NAME, "One in both.", {"image": Image(check="nothing"), "sound": Audio(), "label": Array("int64")},
        {part: Split(samples, count=4, bad=[3]) for part in ("train", "test")}, sample="image",
    )  # fmt: skip
    with pytest.raises(CheckFailed, match=r"4 samples of test are also in train"):
        prepare(dataset)


def test_one_that_cannot_be_decoded_is_an_error_that_names_dataset_split_stream_and_row(damaged: Any) -> None:
    where = f"^{NAME}, split train, stream image, row (3|17): 13 bytes that are not a picture"
    with pytest.raises(DecodeError, match=where):
        damaged[3]
    with pytest.raises(DecodeError, match=where):
        damaged[::-1].batch(20)[0]
    with pytest.raises(DecodeError, match=where):
        list(Loader(damaged.only("image"), 4).epoch(0))
    assert damaged[4]["label"] == 4


class TestLeniently:
    def test_what_cannot_be_decoded_is_none_and_counted(self, damaged: Any) -> None:
        view = lenient(damaged)
        assert skipped(view) == {"image": {}, "sound": {}}
        assert [k for k, sample in enumerate(view) if sample["image"] is None] == list(BAD)
        assert view[3]["image"] is None and view[4]["label"] == 4
        assert [*skipped(view[::2])["image"]] == list(BAD)
        assert skipped(view)["image"][17].startswith("13 bytes that are not a picture")

    def test_batches_leave_it_out_and_no_other_sample_moves(self, damaged: Any) -> None:
        clean = prepare(defined(count=20), storage="memory://clean")["train"]
        strict = Loader(clean, 4, shuffle=True, seed=1)
        loader = Loader(lenient(damaged), 4, shuffle=True, seed=1, collate=present)
        for batch, whole in zip(loader.epoch(0), strict.epoch(0), strict=True):
            assert batch["label"].tolist() == [label for label in whole["label"].tolist() if label not in BAD]
            assert batch["image"].shape == (len(batch["label"]), 12, 16, 3)
            assert len(batch["sound"]) == len(batch["label"])
            assert loader.state_dict()["consumed"] == strict.state_dict()["consumed"]
        assert [*skipped(loader.view)["image"]] == list(BAD)

    def test_a_state_is_exact_with_and_without(self, damaged: Any) -> None:
        loader = Loader(lenient(damaged), 4, shuffle=True, collate=present)
        batches = [batch["label"].tolist() for batch in loader.epoch(0)]
        first = loader.epoch(0)
        assert [next(first)["label"].tolist() for _ in range(2)] == batches[:2]
        again = Loader(lenient(load(NAME, "train")), 4, shuffle=True, collate=present)
        again.load_state_dict(loader.state_dict())
        assert [batch["label"].tolist() for batch in again] == batches[2:]

    def test_more_than_the_limit_is_an_error(self, damaged: Any) -> None:
        assert len(list(lenient(damaged, "image", limit=2))) == 20
        view = lenient(damaged, "image", limit=1)
        assert view[3]["image"] is None and view[3]["image"] is None
        with pytest.raises(DecodeError, match="2 values cannot be decoded, more than the limit of 1; .* row 17"):
            view[17]

    def test_it_goes_to_another_process(self, damaged: Any) -> None:
        view = pickle.loads(pickle.dumps(lenient(damaged, "image", limit=1)))
        assert view[3]["image"] is None
        with pytest.raises(DecodeError):
            view[17]

    def test_the_view_below_stays_strict(self, damaged: Any) -> None:
        lenient(damaged)[3]
        with pytest.raises(DecodeError):
            damaged[3]


def test_the_bytes_can_be_had_as_they_came(damaged: Any) -> None:
    view = encoded(damaged, "image")
    assert [sample["image"] for sample in view] == [b"not a picture" if k in BAD else good(k) for k in range(20)]
    assert view[0]["sound"].shape == (40, 1) and encoded(damaged)[0]["sound"] == sound(40, seed=0)
    assert pickle.loads(pickle.dumps(view))[3]["image"] == b"not a picture"


def test_what_is_shown_says_what_a_file_is_and_draws_it(damaged: Any) -> None:
    assert facts_of(damaged, 1) == {"image": "JPEG, RGB, 12 x 16 pixels", "sound": "WAV, 8000 Hz, 1 channel, 0.01 s"}
    some = {"train[1]": damaged[1], "train[3]": lenient(damaged)[3]}
    shown = samples_shown(some, {"train[1]": facts_of(damaged, 1), "train[3]": facts_of(damaged, 3)})
    assert "image: JPEG, RGB, 12 x 16 pixels\n    " in shown and "sound: WAV, 8000 Hz" in shown
    assert "image: cannot be decoded: row 3: 13 bytes that are not a picture" in shown


def test_the_type_of_a_stream_says_mode_size_and_rate(train: Any) -> None:
    streams = index_of(train).streams
    assert [streams[name].in_words for name in ("image", "sound")] == ["image RGB 12x16", "audio 8000 Hz"]


def test_only_what_load_returned_has_streams_to_read_otherwise(train: Any) -> None:
    with pytest.raises(UsageError, match="Selected has no stored streams"):
        lenient(train[::2])
    with pytest.raises(UnknownStream, match="no decoded stream 'label'"):
        encoded(train, "label")


def test_arrays_and_lists_lose_the_same_samples() -> None:
    batch = {"a": [1, None, 3], "b": np.arange(3), "c": [np.zeros(2), np.ones(2), None]}
    found = present(batch)
    assert (found["a"], found["b"].tolist(), found["c"].tolist()) == ([1], [0], [[0.0, 0.0]])
    assert present({"a": [1, 2]}) == {"a": [1, 2]}
    assert len(present({"a": [None], "b": np.arange(1)})["b"]) == 0


# A training over damage: of 25 pictures ten cannot be decoded


FORTY = tuple(range(0, 25, 5)) + (1, 7, 13, 19, 23)


@pytest.fixture
def forty(home: Path) -> Any:
    return prepare(defined(FORTY, "nothing", count=25))["train"]


def test_T8_a_loader_raises_or_skips_and_counts_or_stops_at_the_limit(forty: Any) -> None:
    labels = list(range(25))
    with pytest.raises(DecodeError, match=rf"^{NAME}, split train, stream image, row 0: ") as raised:
        next(Loader(forty, 5).epoch(0))
    assert raised.value.__notes__ == [f"in a batch of the samples 0, 1, 2, 3, ... of {NAME} train, epoch 0"]

    view = lenient(forty, limit=len(FORTY))
    for epoch in range(2):
        batches = [batch["label"].tolist() for batch in Loader(view, 5, threads=2, collate=present).epoch(epoch)]
        assert batches == [[k for k in labels[lo : lo + 5] if k not in FORTY] for lo in range(0, 25, 5)]
    assert set(skipped(view)["image"]) == set(FORTY)

    stopping = Loader(lenient(forty, limit=4), 5, threads=0, collate=present)
    found: list[Any] = []
    with pytest.raises(DecodeError, match="5 values cannot be decoded, more than the limit of 4"):
        found.extend(batch["label"].tolist() for batch in stopping)
    # The batches before it were given, and the state is there.
    assert found and stopping.state_dict()["consumed"] == 5 * len(found)


def test_T8_ranks_take_equally_many_steps_past_damage(forty: Any) -> None:
    made = [
        Loader(lenient(forty), 4, shuffle=True, rank=rank, world=3, collate=present, threads=0) for rank in range(3)
    ]
    batches = [[batch["label"].tolist() for batch in loader.epoch(0)] for loader in made]
    assert {len(each) for each in batches} == {len(made[0])}
    assert sorted(k for each in batches for batch in each for k in batch) == sorted(set(range(25)) - set(FORTY))
    assert len({loader.state_dict()["epoch"] for loader in made}) == 1


def test_T8_without_simplejpeg_the_same_batches_are_decoded_by_pillow(forty: Any, home: Path) -> None:
    code = (
        "import sys, hashlib; sys.modules['simplejpeg'] = None\n"
        "from dataset_assets import load; from dataset_assets.loader import Loader\n"
        "from dataset_assets.reading.views.undecoded import lenient, present, skipped\n"
        f"view = lenient(load('{NAME}', split='train'))\n"
        "for batch in Loader(view, 5, shuffle=True, collate=present).epoch(0):\n"
        "    print(hashlib.sha256(batch['image'].tobytes()).hexdigest() if len(batch['image']) else 'none')\n"
        "print(len(skipped(view)['image']), 'PIL' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=250)
    view = lenient(forty)
    here = [
        hashlib.sha256(batch["image"].tobytes()).hexdigest() if len(batch["image"]) else "none"
        for batch in Loader(view, 5, shuffle=True, collate=present).epoch(0)
    ]
    assert result.stdout.split("\n")[:-1] == [*here, f"{len(FORTY)} True"], result.stderr
    assert len(skipped(view)["image"]) == len(FORTY)


@pytest.mark.parametrize("change", [lambda view: view, lambda view: view[::-1].only("image", "sound")])
def test_hugging_face_gets_pictures_and_sounds_as_they_are_stored(train: Any, change: Any) -> None:
    datasets = pytest.importorskip("datasets")
    found = change(train).to_hf()
    stored = change(encoded(train)).to_numpy()
    assert isinstance(found.features["image"], datasets.Image) and isinstance(found.features["sound"], datasets.Audio)
    plain = found.with_format("arrow")[:]
    for name in ("image", "sound"):
        assert [value["bytes"] for value in plain[name].to_pylist()] == [bytes(value) for value in stored[name]]

"""A loader goes on with the data that it was stopped in: other functions and other values are refused by its state."""

import functools
import json
import time
from typing import Any, Callable, Iterator

import numpy as np
import pandas
import pyarrow
import pytest

from dataset_assets.encoding.encoder import ENCODERS
from dataset_assets.errors import Conflict, UsageError
from dataset_assets.loader import Loader
from dataset_assets.reading.convert import view_of
from dataset_assets.reading.views import OPERATIONS, Selected, Sourced, Stored, View
from dataset_assets.testing.loaders import copied

OFFSET = 1
FILE = open(__file__)  # noqa: SIM115


class Shift:
    def __init__(self, by: Any) -> None:
        self.by = by

    def __call__(self, sample: Any) -> Any:
        return {"i": sample["i"] + self.by}

    def shifted(self, sample: Any) -> Any:
        return self(sample)


class Own(View):
    """A kind of view without a name of its own."""

    streams = ("i",)

    def __init__(self, values: Any) -> None:
        self.values = values

    def __len__(self) -> int:
        return 3

    def rows(self, where: Any) -> Any:
        return {"i": self.values[where]}


class Noisy:
    def __len__(self) -> int:
        return 3

    def __getitem__(self, i: int) -> Any:
        return {"i": np.random.default_rng().random()}


def doubled(sample: Any) -> Any:
    return {"i": sample["i"] * 2}


def shift(sample: Any, by: int = 1) -> Any:
    return {"i": sample["i"] + by + OFFSET}


def noisy(sample: Any, chance: np.random.Generator, by: int = 1) -> Any:
    return {"i": sample["i"] + by * chance.random()}


def less(i: Any, than: int = 1) -> Any:
    return i < than


def by_number(sample: Any, sign: int = 1) -> Any:
    return sample["i"] * sign


def over(value: Any) -> Callable[[Any], Any]:
    return lambda sample: {"i": sample["i"], "value": value}


def numbers() -> View:
    return view_of(i=np.arange(5))


p = functools.partial
PAIRS: dict[str, Callable[[int], View]] = {
    "partials": lambda n: numbers().map(p(shift, by=n)),
    "lambdas": lambda n: numbers().map((lambda s: {"i": s["i"]}) if n == 1 else (lambda s: {"i": -s["i"]})),
    "closures": lambda n: numbers().map(over(n)),
    "callable objects": lambda n: numbers().map(Shift(n)),
    "methods": lambda n: numbers().map(Shift(n).shifted),
    "blocks": lambda n: numbers().map(p(shift, by=n), batched=True),
    "random maps": lambda n: numbers().map(p(noisy, by=n), random=True),
    "filters": lambda n: numbers().filter(p(less, than=9 + n), column="i"),
    "orders": lambda n: numbers().sort_by(p(by_number, sign=n)),
    "views in a function": lambda n: numbers().map(over(view_of(x=[n]))),
    "versions": lambda n: numbers().map(doubled, version=str(n)),
    "versions of filters": lambda n: numbers().filter(less, column="i", version=str(n)),
    "versions of orders": lambda n: numbers().sort_by(by_number, version=str(n)),
    "arrays": lambda n: view_of(i=np.array([1, n])),
    "lists of text": lambda n: view_of(i=["a", str(n)]),
    "lists of lists": lambda n: view_of(i=[[1], [1, n]]),
    "sequences of samples": lambda n: view_of([{"i": 1}, {"i": n}]),
    "sequences of tuples": lambda n: view_of([(1,), (n,)], names=["i"]),
    "frames": lambda n: view_of(pandas.DataFrame({"i": [1, n]})),
    "tables": lambda n: view_of(pyarrow.table({"i": [1, n]})),
    "objects": lambda n: view_of(i=[Shift(1), Shift(n)]),
    "versions of sources": lambda n: view_of(Noisy(), version=str(n)),
    "versions of columns": lambda n: view_of({"i": [FILE]}, version=str(n)),
    "views of ones own": lambda n: Own(np.array([1, n, 3])),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_state_is_taken_by_the_same_data_and_refused_by_other_data(name: str) -> None:
    make = PAIRS[name]
    state = copied(Loader(make(1), 2).state_dict())
    Loader(make(1), 2).load_state_dict(state)
    assert make(1).fingerprint() == make(1).fingerprint() != make(2).fingerprint()
    with pytest.raises(Conflict, match="The state has stack"):
        Loader(make(2), 2).load_state_dict(state)


def test_a_changed_constant_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    state = Loader(numbers().map(shift), 2).state_dict()
    monkeypatch.setitem(globals(), "OFFSET", 2)
    with pytest.raises(Conflict, match=r"- map\(change=test_identity:shift#.*\+ map\(change=test_identity:shift#"):
        Loader(numbers().map(shift), 2).load_state_dict(state)


def test_a_dataset_of_torch_or_hugging_face_counts_by_its_samples() -> None:
    torch, datasets = pytest.importorskip("torch"), pytest.importorskip("datasets")
    makers: list[Callable[[int], View]] = [
        lambda n: view_of(torch.utils.data.TensorDataset(torch.tensor([1, n])), names=["i"]),
        lambda n: view_of(datasets.Dataset.from_dict({"i": ["a", str(n)]})),
    ]
    for make in makers:
        assert make(1).fingerprint() == make(1).fingerprint() != make(2).fingerprint()


UNREADABLE: dict[str, Callable[[], View]] = {
    "map": lambda: numbers().map(Shift(FILE).shifted),
    "map_blocks": lambda: numbers().map(p(shift, by=iter([1])), batched=True),  # type: ignore[arg-type]
    "sort_by": lambda: numbers().sort_by(Unsorted(FILE)),
}


class Unsorted(Shift):
    def __call__(self, sample: Any) -> Any:
        return 0


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_function_that_has_no_digest_is_refused_when_one_is_asked_for_with_the_way_out(name: str) -> None:
    view = UNREADABLE[name]()
    loader = Loader(view, 2)
    for ask in (view.fingerprint, loader.state_dict, loader.fingerprint):
        with pytest.raises(UsageError, match=rf'has no digest. Say which it is.*: {name}\(\.\.\., version="1"\)'):
            ask()
    if name == "sort_by":
        assert len(list(loader.epoch(0))) == 3  # it is read all the same


def test_values_that_have_no_digest_are_refused_when_one_is_asked_for_with_the_way_out() -> None:
    held = view_of(i=[FILE])
    assert len(list(Loader(held, 1).epoch(0))) == 1
    for view, what in ((held, "Stream i"), (view_of(Noisy()), "The Noisy .* samples that change")):
        with pytest.raises(UsageError, match=rf'{what}.*has no digest.*view_of\(source, version="1"\)'):
            Loader(view, 1).state_dict()
    loop: list[Any] = []
    loop.append([loop])
    for view in (view_of(i=[loop]), view_of([loop, loop])):
        with pytest.raises(UsageError, match="has no digest"):
            view.fingerprint()
    with pytest.raises(UsageError, match="A Own cannot be told from other views: it holds a _io.TextIOWrapper"):
        Own(FILE).fingerprint()


@pytest.mark.parametrize("version", ["", 1, True])
def test_a_version_is_text(version: Any) -> None:
    for make in (
        lambda: numbers().map(doubled, version=version),
        lambda: numbers().filter(less, column="i", version=version),
        lambda: numbers().sort_by(by_number, version=version),
        lambda: view_of([1], version=version),
    ):
        with pytest.raises(UsageError, match="State it as text"):
            make()


def test_a_version_goes_with_the_function_to_other_epochs_processes_and_json() -> None:
    import pickle

    view = numbers().shuffle(1).map(noisy, random=True, version="7").batch(2)
    same = [pickle.loads(pickle.dumps(view)), view.at_epoch(3).at_epoch(0)]
    assert {each.fingerprint() for each in same} == {view.fingerprint()}
    assert '"version": "7"' in view.to_json() and '"code"' not in view.to_json()
    without = numbers().shuffle(1).map(noisy, random=True).batch(2)
    assert without.fingerprint() != view.fingerprint()


def test_values_are_read_when_a_digest_is_asked_for_and_once() -> None:
    class Counted(list[Any]):
        asked = 0

        def __getitem__(self, i: Any) -> Any:
            Counted.asked += 1
            return super().__getitem__(i)

    view = view_of(Counted([{"i": k} for k in range(5)]))
    loader = Loader(view.shuffle(1), 2)
    assert Counted.asked == 0
    loader.state_dict()
    assert Counted.asked == 6  # the first one twice: it is the same
    for _ in range(3):
        loader.state_dict()
        view.fingerprint()
    assert Counted.asked == 6


def test_the_next_states_take_microseconds() -> None:
    loader = Loader(view_of(i=np.arange(1_000_000)).map(p(shift, by=2)), 2)
    loader.state_dict()
    start = time.process_time()
    for _ in range(1000):
        loader.state_dict()
    assert (time.process_time() - start) / 1000 < 100e-6


NAMED = """
from dataclasses import dataclass
import numpy as np
from dataset_assets.encoding import ENCODERS, encoder
from dataset_assets.reading.views import OPERATIONS, View, operation
OPERATIONS.pop("of_identity", None), ENCODERS.pop("of_identity", None)

@operation("of_identity")
class Doubled(View):
    streams = ("i",)
    def __init__(self, parent):
        self.parents = (parent,)
    def __len__(self):
        return len(self.parents[0])
    def rows(self, where):
        return {"i": self.parents[0].rows(where)["i"] * 2}

@encoder("of_identity")
@dataclass(frozen=True)
class Halved:
    def learn(self, known, values):
        return known
    def learnt(self, known):
        return self
    def apply(self, values):
        return np.asarray(values) / 2
"""


@pytest.fixture
def kinds() -> Iterator[None]:
    """Forget the kinds of views and encoders that a test names."""
    views, encoders = dict(OPERATIONS), dict(ENCODERS)
    yield
    for table, before in ((OPERATIONS, views), (ENCODERS, encoders)):
        table.clear()
        table.update(before)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("kinds")
def test_the_code_of_views_and_encoders_of_ones_own_counts() -> None:
    def made(source: str) -> tuple[str, str]:
        module: dict[str, Any] = {"__name__": "of_identity"}
        exec(source, module)
        fitted = numbers().fit_encoders({"i": module["Halved"]()})
        return module["Doubled"](numbers()).fingerprint(), numbers().encode(fitted).fingerprint()

    first = made(NAMED)
    assert first == made(NAMED)
    assert [one == other for one, other in zip(first, made(NAMED.replace("* 2", "* 3")))] == [False, True]
    assert [one == other for one, other in zip(first, made(NAMED.replace("/ 2", "/ 3")))] == [True, False]
    stated = NAMED.replace("    streams", '    code_version = "1"\n    streams')
    assert made(stated) == made(stated.replace("* 2", "* 3"))
    assert made(stated)[0] != made(stated.replace('"1"', '"2"'))[0]


def test_reading_a_view_of_ones_own_does_not_change_what_it_is() -> None:
    class Held(Stored):
        pass

    class Asked(Sourced):
        pass

    class Chosen(Selected):
        pass

    stored = numbers()
    assert isinstance(stored, Stored)
    for view in (Held(stored.origin, stored.columns), Asked([{"i": 1}]), Chosen(numbers().shuffle(1), range(3))):
        before = view.fingerprint()
        assert list(view) and view.streams and view.row_bytes() and view.fingerprint() == before


def test_a_name_for_a_view_of_ones_own_needs_no_digest_of_it() -> None:
    one, other = (Selected(numbers(), range(n)) for n in (3, 3))
    assert one.fingerprint() == other.fingerprint()


# --- states that were written before functions counted by their code


def stored() -> View:
    columns = {"i": np.arange(9), "t": list("abcdefghi"), "ragged": [[k] * k for k in range(9)]}
    return view_of(**columns, table=pyarrow.table({"a": range(9), "b": ["x"] * 9}))


BEFORE: dict[str, tuple[Callable[[], View], str]] = {
    "orders": (
        lambda: stored().shuffle(1)[2:].only("i", "t"),
        "537de9528815a9c2ff26403360faadb6f65ea5af449cc8179006e9d5bd072b37",
    ),
    "values": (
        lambda: stored().concat(stored()[::-1]).filter((">", 3), column="i"),
        "7a1afde8a1ead6fe3ea0bf9a793e208395630eb79b701e239b17913f1aa3a3bb",
    ),
    "a function": (lambda: stored().map(doubled), "42e424ccc2b03b8b0effa1ce359ec43454512699cda671bf986e252ceeefba4a"),
    "a partial": (
        lambda: stored().map(p(shift, by=3)),
        "6858f99ef5d1a85af5475b5cf7209f5b72978b9ce90adc9792a97a7845b1e229",
    ),
    "a sequence": (
        lambda: view_of([{"i": 1}, {"i": 2}]),
        "c20b35b50daa3ae14a09a1d256bb7e6e504ff2fb11ff1ee5845e6ae9885e99d2",
    ),
    "a view of one's own": (
        lambda: Own(np.arange(3)),
        "c7cfdb2d9a561b88c5737489e8ef4452f397f32ce7d26ef689cd5afc3ab317ac",
    ),
}


@pytest.mark.parametrize("name", ["orders", "values"])
def test_a_state_of_before_goes_on_where_there_is_no_function(name: str) -> None:
    make, stack = BEFORE[name]
    loader = Loader(make(), 2)
    assert loader.fingerprint() == stack
    loader.load_state_dict({**loader.state_dict(), "stack": stack, "consumed": 2})
    assert loader.position == (0, 2)


@pytest.mark.parametrize("name", ["a function", "a partial", "a sequence", "a view of one's own"])
def test_a_state_of_before_over_functions_or_sequences_is_refused_by_name(name: str) -> None:
    make, stack = BEFORE[name]
    loader = Loader(make(), 2)
    before = json.loads(json.dumps({**loader.state_dict(), "stack": stack}))
    with pytest.raises(
        Conflict, match="was written before functions, and sequences in memory, counted by their content"
    ):
        loader.load_state_dict(before)

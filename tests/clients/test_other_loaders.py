"""What the kit for loaders sees of ours and of others; docs/loaders.md shows it. `make test-clients` installs them.

Where a package has changed, look at what fails, write it into `SEEN`, and put what this file prints into the page.
"""

from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Callable, ClassVar

import numpy as np
import pytest
import torch
from adapters import SEED, Grain, HuggingFace, LitData, TorchData, write_chunks
from places import ROOT

from dataset_assets import view_of
from dataset_assets.loader import Loader
from dataset_assets.testing import LoaderTests
from dataset_assets.testing.loaders import elsewhere

pytestmark = pytest.mark.filterwarnings("ignore")


class Ours(LoaderTests):
    def loader(self, samples: int, batch_size: int, **changes: Any) -> Any:
        return Loader(view_of(i=np.arange(samples)), batch_size, shuffle=True, seed=SEED, **{"threads": 0, **changes})

    def rows(self, batch: Any) -> list[int]:
        return [int(row) for row in batch["i"]]


class OfTorchData(LoaderTests):
    folder = ""
    """Where the chunks of LitData are."""

    def loader(self, samples: int, batch_size: int, **changes: Any) -> Any:
        return TorchData(samples, batch_size, **changes)

    def rows(self, batch: Any) -> list[int]:
        return [int(row) for row in batch]


class OfGrain(OfTorchData):
    refused: ClassVar = {"threads": "Worker count", "ranks": "Sampler"}

    def loader(self, samples: int, batch_size: int, **changes: Any) -> Any:
        return Grain(samples, batch_size, **changes)


class OfLitData(OfTorchData):
    def loader(self, samples: int, batch_size: int, **changes: Any) -> Any:
        return LitData(self.folder, batch_size, **changes)


class OfHuggingFace(Ours):
    buffer: ClassVar[int] = 8

    def loader(self, samples: int, batch_size: int, **changes: Any) -> Any:
        return HuggingFace(samples, batch_size, buffer=self.buffer, **changes)


class OfHuggingFaceByShard(OfHuggingFace):
    buffer = 1


Seen = tuple[str, str]

LOADERS: dict[str, tuple[type[LoaderTests], tuple[str, ...]]] = {
    "ours": (Ours, ("dataset_assets",)),
    "torchdata": (OfTorchData, ("torchdata", "torch")),
    "Grain": (OfGrain, ("grain",)),
    "LitData": (OfLitData, ("litdata",)),
    "datasets": (OfHuggingFace, ("datasets",)),
    "datasets, no buffer": (OfHuggingFaceByShard, ("datasets",)),
}
VERSIONS = {
    "dataset_assets": "0.1.0", "torchdata": "0.11.0", "torch": "2.13.0", "grain": "0.2.18", "litdata": "0.2.76",
    "datasets": "5.2.0",
}  # fmt: skip

ROWS = {
    "test_an_epoch_is_each_sample_once": "An epoch has each sample once",
    "test_epochs_differ_and_are_the_same_again": "Epochs have different orders; a second loader has the same ones",
    "test_an_iteration_that_is_left_costs_no_sample": "An iteration that is left early costs the next ones no sample",
    "test_an_iterator_that_is_not_used_takes_no_epoch": "An iterator that is not used takes no epoch",
    "test_a_state_is_small_plain_json": "A state is plain JSON of less than 4 KB",
    "test_taking_states_does_not_disturb": "Taking states changes nothing",
    "test_it_goes_on_exactly_at_every_position": "A resume is exact at every position, into the next epoch",
    "test_a_used_loader_takes_a_state_as_a_new_one_does": "A loader in use takes a state as a new one does",
    "test_a_state_before_the_first_batch_is_the_beginning": "A state before the first batch is the beginning",
    "test_an_early_break_goes_on_where_it_was": "A state after an early break continues there",
    "test_a_resume_may_be_resumed": "A resumed loader can be saved and resumed, also before its first batch",
    "test_a_state_is_continued_once": "A state is continued once; then comes the next epoch",
    "test_it_goes_on_in_another_process": "A resume is exact in another process",
    "test_it_goes_on_with_other_threads": "A resume is exact with another number of threads or workers",
    "test_it_goes_on_with_other_ranks": "A resume is exact with another number of ranks",
    "test_it_goes_on_with_another_batch_size": "A resume is exact with another batch size",
    "test_what_is_not_exact_is_refused_by_name": "A state that does not fit is refused, and what differs is named",
}

EPOCHS = {"test_an_epoch_is_each_sample_once", "test_epochs_differ_and_are_the_same_again"}
SAVES = {"test_taking_states_does_not_disturb", "test_an_early_break_goes_on_where_it_was"}
EXACT = {"test_it_goes_on_exactly_at_every_position", "test_it_goes_on_in_another_process"}
USED = "test_a_used_loader_takes_a_state_as_a_new_one_does"
ONCE = "test_a_state_is_continued_once"
RESUMED = "test_a_resume_may_be_resumed"
THREADS = "test_it_goes_on_with_other_threads"
RANKS = "test_it_goes_on_with_other_ranks"
BATCH = "test_it_goes_on_with_another_batch_size"
REFUSED = "test_what_is_not_exact_is_refused_by_name"
JSON = "test_a_state_is_small_plain_json"
UNUSED = "test_an_iterator_that_is_not_used_takes_no_epoch"
DIFFER = "test_epochs_differ_and_are_the_same_again"

# What the documentation of a package says, or shows in an example: its pages, README and docstrings.
PROMISED: dict[str, set[str]] = {
    "ours": set(ROWS) - {REFUSED},
    "torchdata": EPOCHS | SAVES | EXACT | {USED, ONCE, "test_a_state_before_the_first_batch_is_the_beginning"},
    "Grain": EPOCHS - {DIFFER} | SAVES | EXACT | {USED, REFUSED},
    "LitData": EPOCHS | SAVES | EXACT | {RESUMED, RANKS},
    "datasets": EPOCHS | SAVES - {"test_an_early_break_goes_on_where_it_was"},
    "datasets, no buffer": EPOCHS | SAVES | EXACT | {USED},
}

LOST = "Its documentation says that a resume loses the samples in the shuffle buffer."
WORKERS = "Workers are those of torchdata, whose states name them."
SNAPSHOT = "State doesn't contain key '_snapshot' expected for multiprocess dataloader"
AT_ONCE = "A state between loading and the first batch is that of the beginning. After a batch it is exact."
BY_RANK = "A state is that of one rank."
EXAMPLE = "A state counts batches of the old size."

# What the kit saw where a check fails, and why; all other checks pass.
SEEN: dict[str, dict[str, Seen]] = {
    "ours": {},
    "torchdata": {
        UNUSED: ("the first epoch: the samples have another order from position 0", "`iter` draws an order."),
        JSON: ("the state has 7646 bytes", "It holds the state of the generator as a tensor; here it is pickled text."),
        THREADS: (SNAPSHOT, "States with and without workers have different keys."),
        RANKS: ("after 0 steps: 0 of 23 samples missing, 1 too many", f"{BY_RANK} Its sampler repeats samples so that "
            "all ranks have as many."),
    },
    "Grain": {
        DIFFER: ("two epochs have the same order", "Each iteration begins the sampler anew. Its epochs differ within "
            "one iterator, with `num_epochs=2`."),
        THREADS: ("ValueError: Worker count in checkpoint does not match dataloader worker count.", "It is refused."),
        RANKS: ("ValueError: Sampler in checkpoint does not match dataloader sampler.", "It is refused."),
    },
    "LitData": {
        ONCE: ("after 8 samples, the next epoch: 8 of 23 samples missing, 0 too many", "If the resumed iteration is "
            "left early, the next one continues from the state again."),
        THREADS: ("after 8 samples: 4 of 23 samples missing, 4 too many", "It promises that no sample is duplicated, "
            "and that holds: the rest of the epoch has each remaining sample once. Its order, and those of the next "
            "epochs, depend on the workers."),
        RANKS: ("after 1 steps: 0 of 23 samples missing, 4 too many", "The position is rounded down to a whole step of "
            "the new ranks, so some samples come again. If the batches of all ranks together stay as large, none does; "
            "but after 12 of 23 samples one rank cannot become two."),
        BATCH: ("after 4 samples, batches of 3: 1 of 23 samples missing, 1 too many", "The position is rounded down to "
            "a whole batch of the new size."),
    },
    "datasets": {
        JSON: ("the state has 6316 bytes", "It is JSON. It grows with the number of shards, here 8."),
        "test_it_goes_on_exactly_at_every_position": ("after 16 samples: 5 of 23 samples missing, 5 too many", LOST),
        USED: ("after 16 samples: 5 of 23 samples missing, 5 too many", LOST),
        RESUMED: ("after 4 samples: 3 of 23 samples missing, 3 too many", LOST),
        "test_it_goes_on_in_another_process": ("after 16 samples: 5 of 23 samples missing, 5 too many", LOST),
        THREADS: (SNAPSHOT, WORKERS),
        RANKS: ("after 1 steps: 5 of 23 samples missing, 1 too many", BY_RANK),
        BATCH: ("after 4 samples, batches of 1: 2 of 23 samples missing, 2 too many", EXAMPLE),
    },
    "datasets, no buffer": {
        JSON: ("the state has 6008 bytes", "It is JSON. It grows with the number of shards, here 8."),
        RESUMED: ("after 4 samples: 2 of 23 samples missing, 2 too many", AT_ONCE),
        THREADS: (SNAPSHOT, WORKERS),
        RANKS: ("after 1 steps: 4 of 23 samples missing, 0 too many", BY_RANK),
        BATCH: ("after 4 samples, batches of 1: 2 of 23 samples missing, 2 too many", EXAMPLE),
    },
}  # fmt: skip


def claims(loader: str, check: str) -> bool:
    """Return whether there is something to check: a loader that refuses nothing cannot break that promise."""
    return check != REFUSED or bool(LOADERS[loader][0].refused)


def cell(loader: str, check: str) -> str:
    if not claims(loader, check):
        return "not promised"
    passes, promised = check not in SEEN[loader], check in PROMISED[loader]
    if promised:
        return "holds" if passes else "does not hold"
    return "not promised, holds" if passes else "not promised"


def page() -> str:
    """Return what docs/loaders.md shows: the table, and a line for each check that fails."""
    heads = [f"{name} {VERSIONS[packages[0]]}" for name, (_, packages) in LOADERS.items()]
    lines = [f"| check | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    lines += [f"| {words} | {' | '.join(cell(name, check) for name in LOADERS)} |" for check, words in ROWS.items()]
    for name, failed in SEEN.items():
        lines += ["", f"### {name}", ""] if failed else []
        lines += [f"* {ROWS[check]}: `{text}`. {why}" for check, (text, why) in failed.items()]
    return "\n".join(lines)


# Each cell


def seen(suite: LoaderTests, check: str) -> str:
    """Run a check with each of its arguments; return its first failure in words, or an empty text."""
    method = getattr(suite, check)
    marks = getattr(method, "pytestmark", [])
    for arguments in [[each] for each in marks[0].args[1]] if marks else [[]]:
        try:
            method(*arguments)
        except (Exception, pytest.fail.Exception) as error:
            text = str(error).partition("\n")[0]
            return text if isinstance(error, AssertionError) and text else f"{type(error).__name__}: {text}"
    return ""


def needs(package: str) -> None:
    """Skip without the package; one that is installed and cannot be imported fails."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


@pytest.fixture(scope="module")
def chunks(tmp_path_factory: pytest.TempPathFactory) -> str:
    needs("litdata")
    return elsewhere(write_chunks, tmp_path_factory.mktemp("chunks") / "of", LoaderTests.samples)


@pytest.fixture(autouse=True)
def ranks_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """LitData finds its rank in the environment; the adapter sets it."""
    for name in ("WORLD_SIZE", "RANK", "GLOBAL_RANK"):
        # What is set first is removed again after the test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("name", "check"), [(name, check) for name in LOADERS for check in ROWS if claims(name, check)]
)
def test_the_kit_sees_what_the_page_says(name: str, check: str, request: pytest.FixtureRequest) -> None:
    kind, packages = LOADERS[name]
    suite = kind()
    needs(packages[0])
    if kind is OfLitData:
        suite.folder = request.getfixturevalue("chunks")
    assert seen(suite, check) == SEEN[name].get(check, ("",))[0]


def test_the_rows_are_the_checks_of_the_kit() -> None:
    checks = {name for name in vars(LoaderTests) if name.startswith("test_")}
    assert set(ROWS) == checks >= set().union(*PROMISED.values(), *SEEN.values())
    assert all(claims(name, check) for name in LOADERS for check in PROMISED[name] | set(SEEN[name]))


@pytest.mark.parametrize("package", VERSIONS)
def test_the_installed_packages_have_the_versions_of_the_page(package: str) -> None:
    needs(package)
    assert version(package).partition("+")[0] == VERSIONS[package]


def test_the_page_shows_what_was_seen() -> None:
    text = (ROOT / "docs/loaders.md").read_text()
    assert page() in text
    assert all(f"{package} {number}" in text for package, number in VERSIONS.items())


# What the page explains


def rows(batches: Any) -> list[int]:
    return [int(row) for batch in batches for row in (batch["i"] if isinstance(batch, dict) else batch)]


def begun(make: Callable[[], Any], steps: int) -> tuple[list[int], Any]:
    """Return the rows of some steps, and the state after them."""
    loader = make()
    batches = iter(loader)
    return rows(next(batches) for _ in range(steps)), loader.state_dict()


def rest(loader: Any, state: Any) -> list[int]:
    """Return the rows of the iteration after a state."""
    loader.load_state_dict(state)
    return rows(loader)


def test_torchdata_with_a_generator_of_the_loader_is_exact_until_the_epoch_ends() -> None:
    from torchdata.stateful_dataloader import StatefulDataLoader

    data: Any = torch.arange(23)

    def make() -> Any:
        return StatefulDataLoader(data, 4, shuffle=True, generator=torch.Generator().manual_seed(SEED))

    whole = make()
    epochs = [rows(whole) for _ in range(2)]
    seen, state = begun(make, 1)
    resumed = make()
    assert seen + rest(resumed, state) == epochs[0]
    after = rows(resumed)
    assert sorted(after) == sorted(epochs[1]) and after != epochs[1]


def test_an_iterator_of_grain_has_epochs_of_different_orders() -> None:
    needs("grain")
    import grain.python as grain

    sampler = grain.IndexSampler(23, grain.NoSharding(), shuffle=True, num_epochs=2, seed=SEED)
    read = [int(row) for row in grain.DataLoader(data_source=range(23), sampler=sampler)]
    assert sorted(read[:23]) == sorted(read[23:]) == list(range(23)) and read[:23] != read[23:]


def test_datasets_are_exact_after_a_resume_of_a_resume_that_read_a_batch() -> None:

    def make() -> Any:
        return HuggingFace(23, 4, buffer=1)

    def again() -> Any:
        loader = make()
        loader.load_state_dict(state)
        return loader

    seen, state = begun(make, 1)
    more, state = begun(again, 1)
    assert seen + more + rest(make(), state) == rows(make())


@pytest.mark.parametrize("workers", [(0, 2), (2, 0), (1, 3)])
def test_litdata_has_each_remaining_sample_once_with_other_workers(chunks: str, workers: tuple[int, int]) -> None:
    before, after = workers
    seen, state = begun(lambda: LitData(chunks, 4, threads=before), 3)
    assert sorted(seen + rest(LitData(chunks, 4, threads=after), state)) == list(range(23))


def test_litdata_has_each_remaining_sample_once_where_all_batches_together_stay_as_large(chunks: str) -> None:
    def on_two(state: Any) -> list[int]:
        return [row for rank in range(2) for row in rest(LitData(chunks, 2, rank=rank, world=2), state)]

    for steps in (1, 2):
        seen, state = begun(lambda: LitData(chunks, 4), steps)
        assert sorted(seen + on_two(state)) == list(range(23))
    _, state = begun(lambda: LitData(chunks, 4), 3)
    with pytest.raises(ValueError, match="greater than the dataset length. Found `12` instead of `10`"):
        on_two(state)


if __name__ == "__main__":
    print(page())

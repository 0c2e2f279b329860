"""All that can be done with a storage, at the lowest log level, and then with wrong credentials: for what it says.

python driven.py URL FOLDER NAME=WRONG ...
"""

import io
import json
import logging
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
import tiny

from dataset_assets import load, prepare
from dataset_assets.cli.main import main
from dataset_assets.core.settings import origins
from dataset_assets.loader import Loader
from dataset_assets.moving.bundle import bundle
from dataset_assets.moving.gc import collect, collect_strays
from dataset_assets.moving.usage import usage
from dataset_assets.moving.verify import verify
from dataset_assets.orchestration import definitions
from dataset_assets.storage import open_storage

DEBUG = {"loggers": {"console": {"config": {"log_level": "DEBUG"}}}}
COMMANDS = (
    ["ls"], ["du"], ["gc"], ["--debug", "verify", "no.such.dataset"], ["--debug", "copy", "--all", "--to", "memory://x"],
    ["doctor"], ["--debug", "-v", "doctor", "--json"],
)  # fmt: skip


def all_goes_well(url: str, dataset: Any) -> None:
    prepare(dataset, storage=url)
    assert materialized(url, dataset)
    storage = open_storage(url)
    view: Any = load(tiny.NAME, "train", storage=storage)
    print(repr(storage), str(storage), storage.url, vars(storage), repr(view), view.origin, view.report())
    loader = Loader(view, 2, shuffle=True)
    next(iter(loader))
    print(repr(loader), json.dumps(loader.state_dict()), view.to_json())
    print(pickle.dumps(view), origins())
    tar = io.BytesIO()
    bundle([], storage, tar)
    print(tar.getvalue(), verify(tiny.NAME, storage), usage(storage, keep_versions=3, grace_seconds=0))
    print(collect(storage), collect_strays(storage))
    commands(url, COMMANDS)


def all_fails(url: str, dataset: Any) -> None:
    told(lambda: open_storage(url).get("a"))
    told(lambda: prepare(dataset, storage=url))
    told(lambda: collect(open_storage(url)))
    assert not materialized(url, dataset)
    commands(url, COMMANDS[-2:])


def materialized(url: str, dataset: Any) -> bool:
    defined = definitions(datasets=[dataset], storage=url)
    with dg.DagsterInstance.get() as instance:
        assets: Any = defined.assets
        result = dg.materialize(
            [*assets], resources=defined.resources, instance=instance, run_config=DEBUG, raise_on_error=False
        )
        print(result.all_events)
    return result.success


def commands(url: str, chosen: Sequence[list[str]]) -> None:
    for command in chosen:
        sys.argv = ["dataset-assets", *command, "--from" if "copy" in command else "--storage", url]
        told(main, fails=False)


def told(act: Callable[[], object], fails: bool = True) -> None:
    """Say all that can be seen of an error, and of those that it came from."""
    try:
        act()
        assert not fails
    except SystemExit:
        return
    except Exception as error:
        traceback.print_exc()
        seen: BaseException | None = error
        while seen is not None:
            print(type(seen).__mro__, seen, repr(seen), seen.args, vars(seen), getattr(seen, "__notes__", ()))
            seen = seen.__cause__ or seen.__context__


if __name__ == "__main__":
    logging.basicConfig(level=1, stream=sys.stderr)
    place, folder, *wrong = sys.argv[1:]
    all_goes_well(place, tiny.tiny(folder))
    print("NOW IT FAILS", flush=True)
    os.environ.update(pair.split("=", 1) for pair in wrong if "=" in pair and pair.split("=")[0] in os.environ)
    all_fails(place.replace(os.environ.get("IN_URL", "\0"), "wrong-pa55word"), tiny.tiny(folder, version="2"))

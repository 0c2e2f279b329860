"""Opens forged documents, one after the other, and says of each what came of it: a child of test_forged_documents.py.

It has the golden store in memory. Its input names a kind of document and its text; its output is a line for each:
"fine", "refused", or what is wrong.
"""

import json
import resource
import signal
import sys
from typing import Any

from places import TESTS
from stacked import STACKS

from dataset_assets import load, view_from_json
from dataset_assets.core.canonical import canonical, sha256_hex
from dataset_assets.encoding import Fitted, Ordinal, Scaled, Vocabulary
from dataset_assets.errors import DatasetAssetsError
from dataset_assets.loader import Loader
from dataset_assets.storage import MemoryStorage
from dataset_assets.storage.gc_lease import _read
from dataset_assets.storage.keys import collector_key, index_key, pointer_key, version_key
from dataset_assets.storage.manifest import pointer_to
from dataset_assets.storage.stored_dataset import StoredDataset

MEGABYTES, SECONDS = 1500, 150
CANONICAL: Any = {"sort_keys": True, "separators": (",", ":"), "ensure_ascii": False}
GOLDEN = TESTS / "data" / "golden"
NAME = "org.example.tiny"


class Opened:
    """The store, and what can be made of it."""

    def __init__(self) -> None:
        self.store = MemoryStorage()
        for path in GOLDEN.rglob("*"):
            if path.is_file():
                self.store.put(str(path.relative_to(GOLDEN)), path.read_bytes())
        self.train = load(NAME, "train", storage=self.store)
        self.index = json.loads(canonical(self.train.opener.index))  # type: ignore[attr-defined]
        self.loader = Loader(self.train, 2, seed=1)

    def documents(self) -> dict[str, Any]:
        """Return a document of each kind, as it is written."""
        key = version_key(NAME, str(self.train.version))
        some = self.train.fit_encoders(
            {"row.number": Scaled(), "row.word": Ordinal(missing="ignore"), "text": Vocabulary()}
        )
        return {
            "index": self.index,
            "version": json.loads(self.store.get(key).read()),
            "pointer": {"version": self.train.version, "format": 1},
            "source": json.loads(self.store.get("org/example/tiny/raw/numbers_csv/source.json").read()),
            "note": {"collector": "x", "beat": 1, "milliseconds": 1000,
                     "owner": {"process": 1, "host": "h", "machine": "m"}},
            "fitted": json.loads(some.to_json()),
            "state": json.loads(json.dumps(self.loader.state_dict())),
        } | {f"view, {name}": json.loads(make(self.train).to_json()) for name, make in STACKS.items()}  # fmt: skip

    def open(self, kind: str, document: Any) -> Any:
        if kind.startswith("view"):
            return read(view_from_json(json.dumps(document), storage=self.store, trust=["stacked"]))
        return getattr(self, f"open_{kind}")(document)

    def open_index(self, document: Any) -> Any:
        digest = self._put(document, lambda digest: index_key(NAME, "train", digest))
        return self.open_version({**json.loads(self._version()), "splits": {"train": digest}})

    def open_version(self, document: Any) -> Any:
        digest = self._put(document, lambda digest: version_key(NAME, digest))
        self.store.put(pointer_key(NAME), pointer_to(digest))
        return [read(view) for view in load(NAME, storage=self.store).values()]

    def open_pointer(self, document: Any) -> Any:
        self.store.put(pointer_key(NAME), self._sealed(document))
        return load(NAME, storage=self.store)

    def open_source(self, document: Any) -> Any:
        self.store.put("org/example/tiny/raw/numbers_csv/source.json", self._sealed(document))
        return StoredDataset(self.store, NAME).raw("numbers_csv")

    def open_note(self, document: Any) -> Any:
        self.store.put(collector_key(NAME), self._sealed(document))
        note = _read(StoredDataset(self.store, NAME), 1.0)
        assert note is not None and note.seconds <= 3600
        return note.owner and note.owner.is_gone

    def open_fitted(self, document: Any) -> Any:
        fitted = Fitted.from_json(json.dumps(document))
        return read(self.train.encode(fitted))

    def open_state(self, document: Any) -> Any:
        self.loader.load_state_dict(document)
        return next(iter(self.loader), None)

    def _version(self) -> bytes:
        return self.store.get(version_key(NAME, str(self.train.version))).read()

    def _put(self, document: Any, key: Any) -> str:
        data = json.dumps(document, sort_keys=True).encode()
        self.store.put(key(sha256_hex(data)), data)
        return sha256_hex(data)

    @staticmethod
    def _sealed(document: Any) -> bytes:
        if not isinstance(document, dict):
            return json.dumps(document).encode()
        whole = {name: value for name, value in document.items() if name != "seal"}
        # Not by our own canonical form, which refuses what is nested this deep.
        seal = sha256_hex(json.dumps(whole, **CANONICAL).encode())
        return json.dumps({**whole, "seal": seal}, **CANONICAL).encode()


def read(view: Any) -> Any:
    return len(view), view.streams, dict(view.classes), dict(view.roles), repr(view), [*view[:3]], view.to_json()


class Late(BaseException):
    pass


def late(*_: Any) -> None:
    raise Late(f"it took longer than {SECONDS} s")


def outcome(opened: Opened, kind: str, document: Any) -> str:
    signal.alarm(SECONDS)
    try:
        opened.open(kind, document)
    except DatasetAssetsError:
        return "refused"
    except BaseException as error:
        if any("in with_noise" in note for note in getattr(error, "__notes__", ())):
            # A function that is trusted, called otherwise than it was written for: the error is its own.
            return "refused"
        return f"{type(error).__name__}: {error!s:.300}"
    finally:
        signal.alarm(0)
    return "fine"


def main() -> None:
    opened = Opened()
    print(json.dumps(opened.documents()), flush=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEGABYTES << 20, MEGABYTES << 20))
    signal.signal(signal.SIGALRM, late)
    for line in sys.stdin:
        kind, document = json.loads(line)
        print(json.dumps(outcome(opened, kind, document)), flush=True)


if __name__ == "__main__":
    main()

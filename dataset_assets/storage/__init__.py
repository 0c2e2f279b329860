"""Storage connectors."""

import io, os, threading, hashlib, secrets
from pathlib import Path
from dataset_assets import files
from dataset_assets.storage.seam import Storage, check_key, size_of


class LocalStorage:
    def __init__(self, root):
        self.root = Path(root).resolve()
        self.url = f"file://{self.root}"
    def _p(self, key): return self.root / check_key(key)
    def get(self, key): return open(self._p(key), "rb")
    def put(self, key, source):
        p = self._p(key); files.make_folder(p.parent)
        t = p.parent / f".{p.name}.{os.getpid()}.{secrets.token_hex(4)}"
        if isinstance(source, bytes):
            with files.Written(t) as w: w.write(source)
        else: files.link(source, t)
        files.replace(t, p)
    def exists(self, key): return self._p(key).is_file()
    def list(self, prefix):
        base = self.root / prefix if prefix else self.root
        for f in base.rglob("*"):
            if f.is_file() and not f.name.startswith("."): yield str(f.relative_to(self.root))
    def delete(self, key): files.remove(self._p(key))
    def swap(self, key, new, expected):
        p = self._p(key)
        cur = hashlib.sha256(p.read_bytes()).hexdigest() if p.exists() else None
        if cur != expected: return False
        self.put(key, new); return True


def open_storage(url):
    if not isinstance(url, (str, Path)): return url
    return LocalStorage(str(url).removeprefix("file://"))

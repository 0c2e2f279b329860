"""Settings: folders and limits. An argument wins over the environment, project file, user file and default.

The environment is `DATASET_ASSETS_HOME` and so on. The project file is the nearest `dataset_assets.toml`, or
`pyproject.toml` with a `[tool.dataset_assets]`, in the working folder or above it; `project_file` decides which of its
settings apply. The user file is `dataset_assets/config.toml` in the platform's folder for configuration. They are read
on each call of `settings`, never at import.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Collection, Iterator, Mapping, NamedTuple
from urllib.parse import unquote_plus

from dataset_assets.core import project_file, trust
from dataset_assets.core.redact import has_secret
from dataset_assets.errors import UsageError, nearest

APP = "dataset_assets"
ENVIRONMENT = "DATASET_ASSETS_"


@dataclass(frozen=True)
class Settings:
    """The settings that hold for one call."""

    home: Path
    storage: str
    file_bytes: int = 1 << 30
    offline: bool = False
    keep_versions: int = 3
    grace_days: int = 7
    cache_bytes: int = 64 << 30
    fetch: str = "files"
    stall_seconds: int = 300
    jobs: int = 0
    engine: str = "processes"
    max_line_bytes: int = 64 << 20
    max_columns: int = 1_000_000
    max_json_depth: int = 200
    max_value_bytes: int = 1 << 30
    max_decoded_bytes: int = 1 << 40
    max_bytes: int = 1 << 40
    intranet: bool = False
    definitions: tuple[Path, ...] = ()
    datastore_url: str = ""
    datastore_compression: str = "none"
    remote: str = ""
    accept_terms: tuple[str, ...] = ()
    allow_licenses: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    connections: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()

    @property
    def scratch(self) -> Path:
        """The folder for files before they are published."""
        return self.home / "scratch"

    @property
    def cache(self) -> Path:
        """The folder for copies of remote files."""
        return self.home / "cache"


def settings(**overrides: Any) -> Settings:
    """Return the current settings; an argument that is not None wins over all other sources.

    >>> settings(home="/data/assets", storage=None).scratch.as_posix()
    '/data/assets/scratch'
    """
    return Settings(**{key: value for key, (value, _) in origins(**overrides).items()})


def origins(**overrides: Any) -> dict[str, tuple[Any, str]]:
    """Return each setting with its value and its source, and with a note if a project file's value was ignored.

    >>> origins(offline=True)["offline"]
    (True, 'argument')
    """
    chosen: dict[str, tuple[Any, str]] = {}
    ignored: dict[str, str] = {}
    for source in _sources(overrides):
        for key, value in source.values.items():
            if key not in _READERS:
                raise UsageError(f"{source.origin} has an unknown setting {key!r}.{nearest(key, _READERS)}")
            if key not in chosen and (obeyed := source.obeyed(key, _read(key, value, source))) is not None:
                chosen[key] = (obeyed, source.named(key))
            elif key not in chosen:
                ignored[key] = source.origin
        source.say_ignored(ignored)
    chosen.setdefault("home", (_default_home(), "default"))
    chosen.setdefault("storage", ((chosen["home"][0] / "storage").absolute().as_uri(), "default"))
    chosen.setdefault("datastore_url", (chosen["storage"][0], "storage"))
    places = {key: chosen.get(key, (getattr(Settings, key, None), "default")) for key in _READERS}
    notes = {key: f"; ignored: {origin}" for key, origin in ignored.items()}
    return {key: (value, place + notes.get(key, "")) for key, (value, place) in places.items()}


def as_variable(value: Any) -> str:
    """Return the value of a setting as an environment variable holds it."""
    if not isinstance(value, tuple):
        return str(value)
    joined = os.pathsep.join(map(str, value))
    words = all(isinstance(word, str) for word in value)
    # A licence in words of its own may have a comma.
    apart = joined.startswith(_LIST) or _split(joined) != [*value] if words and value else False
    return json.dumps(value) if apart else joined


class _Source(NamedTuple):
    """Settings from one source; its relative paths start at `folder`."""

    origin: str
    values: Mapping[str, Any]
    folder: Path | None = None
    project: project_file.ProjectFile | None = None

    def named(self, key: str) -> str:
        return f"{ENVIRONMENT}{key.upper()}" if self.origin == "the environment" else self.origin

    def obeyed(self, key: str, value: Any) -> Any:
        """Return the value as it applies; None if this source must not set it."""
        return self.project.obeyed(key, value) if self.project else value

    def say_ignored(self, keys: Collection[str]) -> None:
        """Warn which settings of a project file are ignored."""
        if self.project and keys:
            self.project.say_ignored([*keys])


def _sources(overrides: Mapping[str, Any]) -> Iterator[_Source]:
    """Yield the sources, strongest first."""
    yield _Source("argument", {key: value for key, value in overrides.items() if value is not None})
    # Other variables with this prefix belong to plugins and tests. An empty variable counts as unset.
    named = {key: os.environ.get(f"{ENVIRONMENT}{key.upper()}") for key in _READERS}
    yield _Source("the environment", {key: value for key, value in named.items() if value})
    if project := _project_source():
        yield project
    user = _user_file()
    if _may_be_there(user):
        yield _Source(str(user), project_file.table(user), user.parent)


def _project_source() -> _Source | None:
    try:
        project = project_file.find(Path.cwd())
    except FileNotFoundError:
        return None  # the working folder was removed
    if project is None:
        return None
    section = f" [tool.{APP}]" if project.path.name == "pyproject.toml" else ""
    return _Source(f"{project.path}{section}", project.values, project.folder, project)


def _may_be_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return True  # reading it says what is wrong


def _user_file() -> Path:
    return trust.user_folder() / "config.toml"


def _default_home() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir(APP, appauthor=False))


def _read(key: str, value: Any, source: _Source) -> Any:
    try:
        return _READERS[key](value, source)
    except _Unnamed as error:
        raise UsageError(
            f"{source.named(key)} sets {key} to a list in which {error} is a value, which would be shown with the "
            "settings. Put the secret into an environment variable, and write ${ITS_NAME}."
        ) from None
    except (TypeError, ValueError) as error:
        shown = "a value that may have a secret and is not shown" if key in _SECRET else repr(value)
        raise UsageError(f"{source.named(key)} sets {key} to {shown}. Make it {error}.") from None


class _Unnamed(Exception):
    """A setting has a value that should be the name of an environment variable. The value must not be shown."""

    def __init__(self, *names: str) -> None:
        super().__init__(" of ".join(reversed(names)))


def _folder(value: Any, source: _Source) -> Path:
    if not isinstance(value, (str, Path)) or not str(value):
        raise TypeError("the path of a folder")
    try:
        return Path(source.folder or "", Path(value).expanduser()).absolute()
    except RuntimeError:
        raise TypeError("the path of a folder; the user after ~ does not exist") from None


def _url(value: Any, source: _Source) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("a storage URL, such as file:///data/assets")
    if source.folder is None or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", value):
        return value
    return _folder(value, source).as_uri()


def _switch(value: Any, source: _Source) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise TypeError("true or false")


def _at_least(least: int) -> Callable[[Any, _Source], int]:
    def read(value: Any, source: _Source) -> int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole and not (isinstance(value, str) and value.strip().isdecimal()) or int(value) < least:
            raise TypeError(f"a whole number, {least} or more")
        return int(value)

    return read


def _programs(value: Any, source: _Source) -> tuple[Path, ...]:
    _refuse_project(source, "it would run its code on every user who works in the folder")
    paths = value.split(os.pathsep) if isinstance(value, str) else value
    if not isinstance(paths, (list, tuple)) or not all(str(path).endswith((".py", *YAML)) for path in paths):
        raise TypeError(f"the paths of files that end in .py, .yaml or .yml, separated by {os.pathsep!r}")
    return tuple(_folder(path, source) for path in paths)


def _one_of(*words: str) -> Callable[[Any, _Source], str]:
    def read(value: Any, source: _Source) -> str:
        if value not in words:
            raise TypeError(" or ".join(words))
        return str(value)

    return read


def _word(value: Any, source: _Source) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError("a word")
    return value.strip()


def _words(value: Any, source: _Source) -> tuple[str, ...]:
    words = _split(value) if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) and word.strip() for word in words):
        raise TypeError("a list of words, separated by ','")
    return tuple(word.strip() for word in words)


_HEADER = re.compile(r"(?P<host>[A-Za-z0-9.:\[\]-]+) (?P<name>[A-Za-z0-9-]+): ?(?P<value>[^\x00-\x1f\x7f]+)")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_CONSTANT = ("accept", "accept-language", "from", "referer", "user-agent")


def _headers(value: Any, source: _Source) -> tuple[str, ...]:
    _refuse_project(source, "it would decide to whom your tokens are sent")
    words = _lines(value, source)
    for word in words:
        if not (found := _HEADER.fullmatch(word)):
            raise TypeError("a list such as ['data.example.org Authorization: Bearer ${EXAMPLE_TOKEN}']")
        if found["name"].lower() not in _CONSTANT and not _VARIABLE.search(found["value"]):
            raise _Unnamed(found["host"], found["name"])
    return words


_CONNECTION = re.compile(r"(?P<name>[a-z][a-z0-9_]*)=(?P<url>\S+://\S*|\$\{\w+\})")
# A login with a password, as in `ada:pw@host` or `ada/pw@host`, and a password by its name.
_LOGIN = re.compile(r"://(?:/*[^:/@]*:[^@]+|[^:/@?]+/[^@?]+)@")
_PASSWORD = re.compile(
    r"(?:(?<![a-z])(?:pass|pwd)|passw(?:or)?d|passphrase|token|secret)\s*=\s*\{?[^\s;&{}]", re.IGNORECASE
)


def _connections(value: Any, source: _Source) -> tuple[str, ...]:
    _refuse_project(source, "it would decide which database your queries are sent to")
    words = _lines(value, source)
    for word in words:
        if not (found := _CONNECTION.fullmatch(word)):
            raise TypeError(
                "a list such as ['warehouse=postgresql+psycopg2://reader:${WAREHOUSE_PASSWORD}@db.example.org/sales']"
            )
        if _has_password(_VARIABLE.sub("", found["url"])):
            raise _Unnamed(found["name"], "the password")
    return words


def _has_password(url: str) -> bool:
    """Return True if a URL without its variables has a password, in its login or in its options."""
    return bool(_LOGIN.search(url) or _PASSWORD.search(unquote_plus(url))) or has_secret(url)


def _roots(value: Any, source: _Source) -> tuple[str, ...]:
    _refuse_project(source, "it would decide which files and objects datasets may read")
    words = _lines(value, source)
    if not all(re.fullmatch(r"\S+ +[a-z0-9]+://\S+", word) for word in words):
        raise TypeError("a list of a storage and a root each, such as ['s3://assets s3://lake/birds/']")
    return words


def _lines(value: Any, source: _Source) -> tuple[str, ...]:
    """Return a list of lines: in the environment on a line each, or as JSON."""
    return _words(value.splitlines() if isinstance(value, str) and not value.startswith(_LIST) else value, source)


def _refuse_project(source: _Source, why: str) -> None:
    if source.project:
        raise TypeError(f"a setting of the environment or the user file; in a project file {why}")


def with_variables(text: str, what: str, written: Callable[[str, int], str] = lambda value, at: value) -> str:
    """Return a text with the value of an environment variable for each `${NAME}`. Raises `UsageError` without one.

    `written` says how a value is written at its place in the text.

    >>> with_variables("plain", "a header")
    'plain'
    """

    def value(found: re.Match[str]) -> str:
        if not (held := os.environ.get(found[1])):
            raise UsageError(f"{what} needs the environment variable {found[1]}, which is not set. Set it.")
        return written(held, found.start())

    return _VARIABLE.sub(value, text)


def _split(text: str) -> list[str]:
    """Return the words of a list, whose separators count outside of brackets only, as in `a[x=1,y=2],b`.

    An environment variable of another process has them as `as_variable` writes them.
    """
    if text.startswith(_LIST):
        try:
            return list(json.loads(text))
        except ValueError:
            raise TypeError("a list of words, separated by ','") from None
    return re.findall(rf"(?:^|[,{os.pathsep}])((?:\[[^]]*\]|[^,{os.pathsep}])*)", text)


YAML = (".yaml", ".yml")
"""How files of definitions without code end."""

_LIST = '["'
"""How a list in JSON begins."""

URLS = ("storage", "datastore_url", "remote")
"""The settings that are URLs of storages, which may hold a secret."""

_SECRET = ("headers", "connections", *URLS)
"""The settings whose value is not shown when it is wrong, because a secret may be in it."""

_READERS: dict[str, Callable[[Any, _Source], Any]] = {
    "home": _folder,
    "storage": _url,
    "file_bytes": _at_least(1),
    "offline": _switch,
    "keep_versions": _at_least(1),
    "grace_days": _at_least(0),
    "cache_bytes": _at_least(1),
    "fetch": _one_of("files", "ranges"),
    "stall_seconds": _at_least(0),
    "jobs": _at_least(0),
    "engine": _word,
    "max_line_bytes": _at_least(1 << 16),
    "max_columns": _at_least(100),
    "max_json_depth": _at_least(50),
    "max_value_bytes": _at_least(1 << 20),
    "max_decoded_bytes": _at_least(1 << 20),
    "max_bytes": _at_least(1),
    "intranet": _switch,
    "definitions": _programs,
    "datastore_url": _url,
    "datastore_compression": _one_of("none", "zstd"),
    "remote": _url,
    "accept_terms": _words,
    "allow_licenses": _words,
    "headers": _headers,
    "connections": _connections,
    "roots": _roots,
}

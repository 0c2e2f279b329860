"""Entry points are those that `importlib.metadata` finds, whatever lies in the folders of sys.path."""

import collections
import importlib.metadata as standard
import logging
import sys
import zipfile
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_assets.core import plugins
from dataset_assets.core.entry_points import Unsure, points_of

Found = list[tuple[str, str, str]]
GROUP = "dataset_assets.datasets"
SOUND = "[dataset_assets.datasets]\norg.sound = sound_module\n"


def ours(group: str) -> Found:
    return sorted((point.name, point.value, point.dist.name) for point in points_of(group))


def theirs(group: str) -> Found:
    """What `importlib.metadata` finds, without the packages that it cannot read."""
    first: dict[str, Any] = {}
    for package in standard.distributions():
        first.setdefault(package._normalized_name, package)  # as standard.entry_points() does
    found = [point for package in first.values() for point in readable(package) if point.group == group]
    return sorted((point.name, point.value, point.dist.name) for point in found)


def readable(package: Any) -> list[Any]:
    try:
        return list(package.entry_points)
    except (TypeError, ValueError):
        return []


def install(site: Path, folder: str, text: str | bytes, name: str | None = None) -> None:
    about = site / folder
    about.mkdir(parents=True)
    name = name or folder.partition("-")[0]
    (about / ("PKG-INFO" if folder.endswith(".egg-info") else "METADATA")).write_text(f"Name: {name}\nVersion: 1\n")
    (about / "entry_points.txt").write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize("group", ["console_scripts", "pytest11", "no.such.group"])
def test_those_of_this_environment_are_found(group: str) -> None:
    expected = [(point.name, point.value, point.dist.name) for point in standard.entry_points(group=group)]
    assert ours(group) == sorted(expected)
    assert bool(expected) == (group != "no.such.group")


LINES = [
    "[dataset_assets.datasets]", "[ dataset_assets.datasets ]", "[[dataset_assets.datasets]]", "[console_scripts]",
    "[dataset_assets.datasets]  # not a section", "[]", "org.a = module", "org.a=module:thing.part",
    " org.b = m [one,two]", "# org.c = comment", "org.d = module  # kept", "org.e = a = b", "= no name", "no value =",
    "no equals sign", "", "\ufeff[dataset_assets.datasets]", "org.\u00e9 = m\u00f6dule", "org.f = m\x0corg.g = n",
    "\ttabbed\t=\tm\t", ";org.h = m",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(LINES), max_size=6).map("\n".join).map(str.encode)
BROKEN = st.sampled_from([b"[dataset_assets.datasets]\norg.x = \xff\n", b"\xff\xfe", None])
NAMES = st.sampled_from(["a-b", "A_b", "a.b", "a__b", "plain", "Plain", "~lain", "x"])
VERSIONS = st.sampled_from(["-1.0", "-2.0", "-1.0-py3.11", ""])
FOLDERS = st.tuples(NAMES, VERSIONS, st.sampled_from([".dist-info", ".egg-info"])).map("".join)
PATHS = st.lists(st.lists(st.tuples(FOLDERS, TEXTS | BROKEN), max_size=4), max_size=3)


@given(PATHS, st.sampled_from([b"\n", b"\r\n", b"\r"]))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_those_of_any_packages_are_found(
    tmp_path_factory: pytest.TempPathFactory, packages: list[list[tuple[str, bytes | None]]], end: bytes
) -> None:
    top = tmp_path_factory.mktemp("sites")
    for number, each in enumerate(packages):
        for folder, text in dict(each).items():
            install(top / str(number), folder, b"" if text is None else text.replace(b"\n", end))
            if text is None:
                (top / str(number) / folder / "entry_points.txt").unlink()
    with pytest.MonkeyPatch.context() as patched:
        # The first one twice; and a folder of folders, which has no packages.
        sites = [str(top / str(number)) for number in range(len(packages))]
        patched.setattr(sys, "path", [*sites, str(top), str(top / "0")])
        assert ours(GROUP) == theirs(GROUP)


def test_a_package_that_cannot_be_read_is_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(tmp_path, "garbled-1.0.dist-info", "[console_scripts]\nno equals sign\n")
    install(tmp_path, "latin-1.0.dist-info", SOUND.replace("sound", "s\u00f6und").encode("latin-1"))
    install(tmp_path, "looping-1.0.dist-info", "")
    (tmp_path / "looping-1.0.dist-info/entry_points.txt").unlink()
    (tmp_path / "looping-1.0.dist-info/entry_points.txt").symlink_to("entry_points.txt")
    install(tmp_path, "sound-1.0.dist-info", SOUND)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with caplog.at_level(logging.WARNING):
        assert ours(GROUP) == [("org.sound", "sound_module", "sound")]
    assert sorted(record.message.split(" are left out")[0] for record in caplog.records) == [
        "The plugins of garbled", "The plugins of latin", "The plugins of looping",
    ]  # fmt: skip


# What only importlib.metadata finds is asked of it.


class Finder:
    """Finds packages in a folder that is not on sys.path, and those on it."""

    def __init__(self, site: Path) -> None:
        self.site = site

    def find_spec(self, *name: Any) -> None:
        return None

    def find_distributions(self, context: Any) -> Iterator[Any]:
        return standard.MetadataPathFinder.find_distributions(
            standard.DistributionFinder.Context(path=[str(self.site), *sys.path])
        )


def zipped(site: Path) -> Path:
    with zipfile.ZipFile(packed := site.with_suffix(".zip"), "w") as file:
        for path in filter(Path.is_file, site.rglob("*")):
            file.write(path, path.relative_to(site))
    return packed


def by_zip(site: Path) -> None:
    sys.path[:] = [str(zipped(site))]


def by_finder(site: Path) -> None:
    sys.meta_path.insert(0, Finder(site))  # type: ignore[arg-type]


def by_another_path_finder(site: Path) -> None:
    sys.meta_path[:] = [Finder(site) if each is PathFinder else each for each in sys.meta_path]  # type: ignore


def by_egg(site: Path) -> None:
    egg = site.with_name("sound-1.0-py3.11.egg")
    egg.mkdir()
    (site / "sound-1.0.dist-info").rename(egg / "EGG-INFO")
    (egg / "EGG-INFO/METADATA").rename(egg / "EGG-INFO/PKG-INFO")
    sys.path[:] = [str(egg)]


def by_upper_case(site: Path) -> None:
    (site / "sound-1.0.dist-info").rename(site / "Sound-1.0.DIST-INFO")
    sys.path[:] = [str(site)]


def by_path_object(site: Path) -> None:
    sys.path[:] = [site]  # type: ignore[list-item]


OTHER = [by_zip, by_finder, by_another_path_finder, by_egg, by_upper_case, by_path_object]


@pytest.mark.parametrize("broken", [False, True], ids=["whole", "beside a broken one"])
@pytest.mark.parametrize("place", OTHER)
def test_packages_that_lie_elsewhere_are_found(
    place: Any, broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site, beside = tmp_path / "site", tmp_path / "beside"
    install(site, "sound-1.0.dist-info", SOUND)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [each for each in sys.meta_path if each is PathFinder])
    place(site)
    if broken:
        install(beside, "bad.ly-1.0.dist-info", "[x]\nno equals sign\n", name="bad.ly")
        # Of two packages with one name the first counts, however it is spelt.
        install(beside, "later-1.0.dist-info", SOUND.replace("sound", "other"), name="Sound")
        sys.path.append(str(beside))
    with pytest.raises(Unsure):
        points_of(GROUP)
    plugins.points.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            found = plugins.points("datasets")
    finally:
        plugins.points.cache_clear()
    assert [(point.name, point.value, plugins.package_of(point)) for point in found] == [
        ("org.sound", "sound_module", "sound")
    ]
    assert [record.message.partition(" are")[0] for record in caplog.records] == ["The plugins of bad-ly"] * broken


def test_folders_that_cannot_be_listed_hold_no_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "sound-1.0.dist-info", SOUND)
    monkeypatch.chdir(tmp_path / "site")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none"), str(tmp_path / "site/x.zip/in"), ""])
    assert ours(GROUP) == theirs(GROUP) == [("org.sound", "sound_module", "sound")]


def test_a_point_loads_what_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path, "kinds-1.0.dist-info", "[dataset_assets.formats]\nodd = collections:OrderedDict.fromkeys [more]\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    [point] = points_of("dataset_assets.formats")
    assert point.load() == collections.OrderedDict.fromkeys
    assert (point.dist.name, point.dist.version) == ("kinds", "1")

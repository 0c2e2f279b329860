"""Datamaestro's acceptance checks, by their numbers. The rooms they are about test them at length."""

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import dagster as dg
import pytest
from command_line import CommandLine
from orchestrated import assets_in, key, made, run
from places import TESTS

from dataset_assets import Dataset, RemoteFile, Split, Text, View, extracted_file, joined_file, load, prepare
from dataset_assets.cli.common import State
from dataset_assets.cli.main import commands
from dataset_assets.core.names import key_parts
from dataset_assets.decoding import archive_members
from dataset_assets.definition import registry
from dataset_assets.errors import (
    DefinitionError,
    NameNotAllowed,
    NotPrepared,
    Refused,
    RetrievalError,
    UnknownDataset,
    UsageError,
)
from dataset_assets.moving.bundle import bundle
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.moving.rm import rm
from dataset_assets.moving.unbundle import unbundle
from dataset_assets.moving.unknown import unknown
from dataset_assets.moving.verify import verify
from dataset_assets.orchestration import definitions
from dataset_assets.orchestration.instance import materialize
from dataset_assets.storage import LocalStorage, Storage, open_storage

REVIEWS = "org.example.reviews"
FRENCH = f"{REVIEWS}[lang=fr,size=small]"
CODE = """
from typing import Literal
from dataset_assets import Array, Dataset, Family, RemoteFile, Split, Text

def rows(lines, lang, size):
    for line in lines:
        yield {"text": f"{lang} {size} {line.decode().strip()}"}

def reviews(lang: Literal["en", "fr"], size: Literal["small", "large"] = "small", mirror: str = "eu") -> Dataset:
    return Dataset(
        "org.example.reviews", f"Reviews in {lang}.", {"text": Text()},
        {"all": Split(rows, lines=RemoteFile("URL/lines.txt"), lang=lang, size=size)}, tags=("opinions",),
    )

def draws(seed: int, kind: Literal["even", "odd"] = "odd") -> Dataset:
    return Dataset("org.example.draws", "Draws.", {"x": Array()}, {"all": Split(drawn, seed=seed)})

def drawn(seed):
    yield {"x": seed}

family = Family("org.example.reviews", "Reviews in two languages.", reviews, not_identity=("mirror",))
open_family = Family("org.example.draws", "Draws of a seed.", draws, example={"seed": 3})
"""


@pytest.fixture
def families(home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of two families' definitions, which the settings name."""
    (fast_path / "lines.txt").write_bytes(b"one\ntwo\n")
    file = fast_path / f"families_{fast_path.name}.py"
    file.write_text(CODE.replace("URL", fast_path.as_uri()))
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", str(file))
    return file


LINKING = """
from dataset_assets import Dataset, FileOf, RemoteFile, Split, SplitOf, Text

def rows(lines):
    for line in lines:
        yield {"text": line.decode().strip()}

def joined(whole, lines):
    for sample, line in zip(whole, lines):
        yield {"text": sample["text"] + " " + line.decode().strip()}

def same(whole):
    return whole

def made(name, **splits):
    return Dataset("org.example." + name, "Texts.", {"text": Text()}, splits)

whole = made("whole", all=Split(rows, lines=RemoteFile("URL/lines.txt")))
taken = made("taken", all=Split(
    joined, whole=SplitOf("org.example.whole", "all"), lines=FileOf("org.example.whole", "lines_txt")))
local = made("local", all=Split(rows, lines=RemoteFile("folder:corpora/lines.txt")))
one = made("circle_one", all=Split(same, whole=SplitOf("org.example.circle_two", "all")))
two = made("circle_two", all=Split(same, whole=SplitOf("org.example.circle_one", "all")))
"""


@pytest.fixture
def linking(home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of definitions that take splits and files of each other, which the settings name."""
    (fast_path / "lines.txt").write_bytes(b"one\ntwo\n")
    file = fast_path / f"linking_{fast_path.name}.py"
    file.write_text(LINKING.replace("URL", fast_path.as_uri()))
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", str(file))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(fast_path / "config"))
    return file


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command in this process, and return what it printed to stdout."""
    capsys.readouterr()
    commands.main([*words], standalone_mode=False, obj=State())
    return capsys.readouterr().out


def texts(name: str, storage: "Storage | str | None" = None) -> list[str]:
    return texts_of(load(name, "all", storage=storage))


def texts_of(view: View) -> list[str]:
    return [sample["text"] for sample in view]


@pytest.fixture(scope="module")
def bookworm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the plugin with the datasets of a field is installed."""
    site = tmp_path_factory.mktemp("bookworm")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    subprocess.run([*pip, "--target", str(site), str(TESTS / "plugin_text")], check=True)
    return site


@pytest.fixture
def line(bookworm: Path, tmp_path: Path) -> CommandLine:
    """A command line with the plugin, and with one that is broken."""
    line = CommandLine(tmp_path)
    line.environment["PYTHONPATH"] = f"{bookworm}{os.pathsep}{line.environment['PYTHONPATH']}"
    line.install(
        "broken", {"broken_module": "raise RuntimeError('of its own')"}, datasets={"org.broken": "broken_module"}
    )
    return line


def test_1_a_search_is_by_every_field_and_a_broken_plugin_hides_nothing(line: CommandLine):
    found = line.run("search", "plugin:bookworm", "type:text", "task:retrieval", "tag:fables", "id:^org[.]example")
    names = [row.split()[0].rpartition(".")[2] for row in found.stdout.splitlines()]
    assert sorted(names) == ["fables", "judgements", "queries"]
    assert len(found.stderr.splitlines()) == 1 and "broken_module are left out" in found.stderr
    assert line.run("search", "plugin:bookworm", "type:image", code=3).stdout == ""
    offers = {offer["package"]: offer for offer in line.json("plugins")}
    assert offers["bookworm"]["definitions"] == 3 and offers["bookworm"]["problem"] is None
    assert offers["broken"]["problem"] == "broken_module cannot be imported: RuntimeError"
    assert "broken_module cannot be imported" in line.run("plugins").stdout


def test_2_info_shows_what_a_dataset_is_and_how_far_it_is_made(line: CommandLine):
    shown_of = line.json("info", "org.example.bookworm.queries[lang=de]")
    assert (shown_of["id"], shown_of["axes"]) == ("org.example.bookworm.queries[lang=de]", {"lang": "de"})
    assert shown_of["summary"] == "Four queries for the fables, in the language de."
    assert (shown_of["homepage"], shown_of["tasks"]) == ("https://example.org/bookworm", ["retrieval"])
    assert {name: file["state"] for name, file in shown_of["files"].items()} == {"queries_de_tsv": "none"}
    assert {name: stream["format"] for name, stream in shown_of["streams"].items()} == {"id": "text", "text": "text"}
    assert line.json("info", "org.example.bookworm.judgements")["made_of"]["test"] == [
        "org.example.bookworm.fables/all"
    ]


def test_15_a_package_adds_the_datasets_of_a_field_by_an_entry_point(line: CommandLine):
    made_of = line.json("prepare", "org.example.bookworm.judgements", "--direct")
    assert {split: found["samples"] for split, found in made_of["splits"].items()} == {"test": 2, "train": 7}
    names = [dataset["name"] for dataset in line.json("ls")]
    assert names == ["org.example.bookworm.fables", "org.example.bookworm.judgements"]
    shutil.copytree(TESTS / "plugin_text/tests", line.home / "tests")
    pytest_of_its_own = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "tests"]
    own = subprocess.run(pytest_of_its_own, cwd=line.home, env=line.environment, capture_output=True, text=True)
    assert own.returncode == 0, own.stdout[-5000:]
    assert int(own.stdout.splitlines()[-1].split(" passed")[0]) > 30


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_8_archives_are_read_by_sub_path_and_selection_without_their_top_folder(kind: str, home: Path, fast_path: Path):
    for name, content in {"train/a.txt": "one\n", "train/b.txt": "two\n", "c.txt": "three\n"}.items():
        (fast_path / "made/corpus-1.0" / name).parent.mkdir(parents=True, exist_ok=True)
        (fast_path / "made/corpus-1.0" / name).write_text(content)
    formats = {"zip": "zip", "tar": "tar", "tar.gz": "gztar", "tar.bz2": "bztar", "tar.xz": "xztar"}
    data = Path(shutil.make_archive(str(fast_path / "corpus"), formats[kind], fast_path / "made")).read_bytes()
    parts = [fast_path / f"{i}.part" for i in range(2)]
    for path, piece in zip(parts, (data[:100], data[100:])):
        path.write_bytes(piece)
    archive = joined_file(
        "corpus.archive", *(RemoteFile(path.as_uri(), identifier=f"p{i}") for i, path in enumerate(parts))
    )
    splits = {
        "train": Split(members_of, archive=archive, below="train", only=["a.txt", "b.txt"]),
        "rest": Split(lines_of, lines=extracted_file(archive, "c.txt", unwrap=True)),
    }
    found = prepare(Dataset("org.example.corpus", "Lines.", {"text": Text()}, splits))
    assert (texts_of(found["train"]), texts_of(found["rest"])) == (["one", "two"], ["three"])


def members_of(archive: BinaryIO, below: str, only: list[str]) -> Iterator[dict[str, str]]:
    for member in sorted(archive_members(archive, only, below=below, unwrap=True), key=lambda member: member.name):
        yield from lines_of(member)


def lines_of(lines: BinaryIO) -> Iterator[dict[str, str]]:
    for line in lines:
        yield {"text": line.decode().strip()}


@pytest.mark.parametrize("name", ["../x.txt", "/x.txt", "a/../../x.txt"])
@pytest.mark.parametrize("options", [{}, {"unwrap": True}, {"below": "a"}])
def test_8_hostile_members_are_refused(name: str, options: dict[str, Any]):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        made.addfile(tarfile.TarInfo(name))
    with pytest.raises(Refused):
        list(archive_members(out, **options))


def test_10_links_to_other_datasets_are_one_graph_and_a_refresh_follows(linking: Path, home: Path, fast_path: Path):
    defined = definitions("org.example.whole", "org.example.taken")
    graph = defined.resolve_asset_graph()
    taken = graph.get(key("org/example/taken/all/text"))
    assert key("org/example/whole") in taken.parent_keys
    upstream = dg.AssetSelection.assets(key("org/example/taken")).upstream().resolve(graph)
    assert key("org/example/whole/raw/lines_txt") in upstream
    other = fast_path / "dagster"
    instance = dg.DagsterInstance.ephemeral()
    datasets = [registry.find("org.example.taken"), registry.find("org.example.whole")]
    result = run(datasets, instance, str(other))
    assert result.success and {"org/example/whole", "org/example/taken"} <= made(result).keys()
    assert materialize(registry.find("org.example.taken"), open_storage(home / "storage"))
    assert texts("org.example.taken") == ["one one", "two two"]
    versions = {load("org.example.taken", "all", storage=at).origin.version for at in (home / "storage", other)}
    assert len(versions) == 1
    (fast_path / "lines.txt").write_bytes(b"one\nnew\n")
    prepare("org.example.taken", refresh=True)
    assert texts("org.example.taken") == ["one one", "new new"]
    assert texts(f"org.example.taken@{versions.pop()}") == ["one one", "two two"]
    with pytest.raises(DefinitionError, match="is made of itself"):
        definitions("org.example.circle_one")


def test_10_folders_of_the_user_are_set_and_listed_and_a_dangling_one_names_the_fix(
    linking: Path, fast_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(RetrievalError, match="dataset-assets settings folders set corpora /PATH"):
        prepare("org.example.local")
    shown(capsys, "settings", "folders", "set", "corpora", str(fast_path))
    assert shown(capsys, "settings", "folders", "list").split() == ["corpora", str(fast_path)]
    assert json.loads(shown(capsys, "settings", "folders", "list", "--json")) == [
        {"name": "corpora", "path": str(fast_path), "exists": True}
    ]
    assert texts_of(prepare("org.example.local")["all"]) == ["one", "two"]
    shown(capsys, "settings", "folders", "unset", "corpora")
    assert shown(capsys, "settings", "folders", "list") == ""
    assert "org.example.whole/all" in shown(capsys, "info", "org.example.taken")


def test_12_a_member_has_one_name_in_every_spelling_and_a_storage_of_its_own(families: Path, home: Path):
    prepare(f"{REVIEWS}[size=small,lang=fr]")
    prepare(f"{REVIEWS}[lang=en]")
    for name in (FRENCH, f"{REVIEWS}[size=small,lang=fr]", f"{REVIEWS}[lang=fr]", f"{REVIEWS}[lang=fr,mirror=us]"):
        assert texts(name) == ["fr small one", "fr small two"]
        view = load(name, "all")
        assert view.origin.dataset == FRENCH
        assert texts(f"{name}@{view.origin.version}") == ["fr small one", "fr small two"]
    assert texts(f"{REVIEWS}[lang=en]") == ["en small one", "en small two"]
    members = [path.name for path in (home / "storage/org/example/reviews/variants").iterdir() if path.is_dir()]
    assert len(members) == 2
    with pytest.raises(NotPrepared, match=r"dataset-assets prepare 'org.example.reviews\[lang=fr,size=large\]'"):
        load(f"{REVIEWS}[lang=fr,size=large]")


def test_12_a_name_without_defaults_is_read_without_the_definition(families: Path, monkeypatch: pytest.MonkeyPatch):
    prepare(FRENCH)
    monkeypatch.delenv("DATASET_ASSETS_DEFINITIONS")
    assert texts(f"{REVIEWS}[lang=fr]") == ["fr small one", "fr small two"]
    for name in (REVIEWS, f"{REVIEWS}[lang=de]", f"{REVIEWS}[lang=fr,size=large]", f"{REVIEWS}[long=fr]"):
        with pytest.raises(NotPrepared):
            load(name)


def test_12_another_default_means_another_member(families: Path):
    prepare(f"{REVIEWS}[lang=fr]")
    families.with_name("other_" + families.name).write_text(families.read_text().replace('= "small"', '= "large"'))
    for cached in (registry._known_in, registry._own, registry._datasets_in):
        cached.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATASET_ASSETS_DEFINITIONS", str(families.with_name("other_" + families.name)))
        prepare(f"{REVIEWS}[lang=fr]")
    assert texts(f"{REVIEWS}[lang=fr]") == ["fr large one", "fr large two"]
    assert texts(FRENCH) == ["fr small one", "fr small two"]


def test_12_a_member_lives_as_every_dataset_does(families: Path, home: Path, fast_path: Path):
    prepare(FRENCH)
    here, there = open_storage(home / "storage"), LocalStorage(fast_path / "there")
    assert [one.dataset for one in copy(None, here, there)] == [FRENCH]
    assert texts(f"{REVIEWS}[lang=fr]", there) == ["fr small one", "fr small two"]
    with (fast_path / "b.tar").open("w+b") as file:
        bundle([f"{REVIEWS}[size=small,lang=fr]"], here, file)
        file.seek(0)
        third = LocalStorage(fast_path / "third")
        unbundle(file, third)
    assert texts(f"{REVIEWS}[lang=fr]", third) == ["fr small one", "fr small two"]
    assert verify(f"{REVIEWS}[lang=fr]", third).name == FRENCH
    assert not unknown(here)
    assert not [one for one in collect(here, grace_seconds=0) if one.removed]
    rm(FRENCH, third, force=True)
    with pytest.raises(NotPrepared):
        load(FRENCH, storage=third)


def test_12_the_command_line_names_lists_and_completes_members(
    families: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    said = shown(capsys, "info", REVIEWS)
    assert "lang         str    en, fr" in said
    assert "size         str    small, large  default small" in said
    assert "mirror       str    any value  default eu  not identity" in said
    example = said.splitlines()[-1].removeprefix("example    ")
    words = shlex.split(example)
    assert words == ["dataset-assets", "prepare", f"{REVIEWS}[lang=en,size=small]"]
    assert shown(capsys, *words[1:], "--direct").startswith(f"{REVIEWS}[lang=en,size=small]@")
    assert json.loads(shown(capsys, "info", REVIEWS, "--json"))["count"] == 4
    assert f"{REVIEWS}[lang=en,size=small]  Reviews in en." in shown(capsys, "info", f"{REVIEWS}[lang=en]")
    assert shown(capsys, "ls").split()[0] == f"{REVIEWS}[lang=en,size=small]"
    assert shown(capsys, "search", f"{REVIEWS}[*]").split() == [*registry.family(REVIEWS).members()]
    row = next(row for row in shown(capsys, "search", "tag:opinions").splitlines())
    assert row.split(None, 1) == [REVIEWS, "Reviews in two languages. [lang, size, mirror]"]
    assert registry.members(REVIEWS, f"{REVIEWS}[lang=f")[0] == FRENCH
    monkeypatch.delenv("DATASET_ASSETS_DEFINITIONS")
    assert f"{REVIEWS}" in shown(capsys, "search", "reviews")


def test_12_an_open_axis_is_refused_where_it_would_have_to_be_listed(
    families: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(UsageError, match=r"seed may have any value. Name one, such as .*\[kind=odd,seed=3\]"):
        shown(capsys, "search", "org.example.draws[*]")
    with pytest.raises(UsageError, match="seed may have any value"):
        definitions("org.example.draws[*]")
    assert registry.members("org.example.draws") == []
    assert "cannot be listed" in shown(capsys, "info", "org.example.draws")
    assert prepare("org.example.draws[seed=12]")["all"][0]["x"] == 12
    for wrong in ("org.example.draws", "org.example.draws[seed=x]", "org.example.draws[seed=1,kind=none]"):
        with pytest.raises(NameNotAllowed):
            prepare(wrong)


def test_12_members_are_assets_of_their_own_in_dagster(families: Path, home: Path):
    defined = definitions(f"{REVIEWS}[size=small,lang=fr]", f"{REVIEWS}[lang=en]", "org.networkx.*")
    result = dg.materialize(
        [asset for asset in assets_in(defined) if "variants" in str(asset.keys)], resources=defined.resources
    )
    folder = registry.find(FRENCH)
    at = "/".join(key_parts(FRENCH))
    assert f"{at}/all/text" in made(result) and at in made(result)
    assert len([asset for asset in made(result) if asset.endswith("/all")]) == 2
    assert texts(f"{REVIEWS}[lang=fr]") == ["fr small one", "fr small two"]
    assert "**Member**" in defined.resolve_asset_graph().get(key(at)).description
    before = load(FRENCH, "all").origin.index
    prepare(folder)
    assert load(FRENCH, "all").origin.index == before
    assert len(definitions(f"{REVIEWS}[*]").resolve_all_asset_keys()) == 4 * len(
        definitions(FRENCH).resolve_all_asset_keys()
    )
    with pytest.raises(UnknownDataset):
        definitions("org.example.review[*]")

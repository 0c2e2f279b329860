"""What Datamaestro does for terms and sources, by the numbers of its checks."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Iterator

import pytest
from command_line import CommandLine, in_terminal

from dataset_assets import Array, Dataset, DerivedFile, RemoteFile, Split, SplitOf, View, prepare
from dataset_assets.errors import DefinitionError
from dataset_assets.testing import FaultyServer, Status

DEFINED = """
from dataset_assets import Array, Dataset, RemoteFile, Split

def lines(table):
    for line in table:
        yield {{"n": int(line)}}

def counted(to):
    for n in range(to):
        yield {{"n": n}}

class Styled:
    terms = "Only for research."

    def config(self, name, split):
        return Dataset("org.example.terms." + name, "Faces.", {{"n": Array()}}, {{"all": split}}, terms=self.terms)

file = RemoteFile("{url}/table.txt")
by_value = Dataset("org.example.terms.value", "Faces.", {{"n": Array()}}, {{"all": Split(lines, table=file)}},
                   terms="Only for research.")
by_class = Styled().config("styled", Split(lines, table=file))
without_files = Styled().config("made", Split(counted, to=3))
"""
OFF = {"DATASET_ASSETS_OFFLINE": "1"}
VALUE, STYLED, MADE = (f"org.example.terms.{name}" for name in ("value", "styled", "made"))


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/table.txt": b"1\n2\n"}) as server:
        yield server


@pytest.fixture
def line(tmp_path: Path, server: FaultyServer) -> CommandLine:
    server.forget()
    line = CommandLine(tmp_path)
    line.environment["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    line.install("terms", {"terms": DEFINED.format(url=server.url)}, datasets={"org.example.terms": "terms"})
    return line


def test_5_raw_files_that_do_not_stay_are_retrieved_for_what_is_made(home: Path, server: FaultyServer) -> None:
    def lines(table: BinaryIO) -> Iterator[dict[str, int]]:
        yield from ({"n": int(line)} for line in table)

    def again(table: BinaryIO) -> Iterator[bytes]:
        yield table.read()

    file = RemoteFile(f"{server.url}/table.txt", keep=False)
    split = Split(lines, table=DerivedFile("again.txt", again, table=file))
    dataset = Dataset("org.example.passing", "Numbers.", {"n": Array("int64")}, {"all": split})
    server.forget()
    found = prepare(dataset)["all"]
    assert [path.name for path in (home / "storage").rglob("raw/*/*")] == ["source.json"]
    prepare(dataset)
    assert len(server.requests) == 1
    shutil.rmtree(home / "storage/org/example/passing/all")
    assert prepare(dataset)["all"].origin == found.origin and len(server.requests) == 2
    with pytest.raises(DefinitionError, match="is made from itself"):
        replace(dataset, splits={"all": Split(same, of=SplitOf("more")), "more": Split(same, of=SplitOf("all"))})


def same(of: View) -> View:
    return of


def test_11_terms_are_asked_once_on_a_terminal_and_remembered(line: CommandLine, server: FaultyServer) -> None:
    with in_terminal(line, "prepare", VALUE) as terminal:
        shown = terminal.until("accept them? [y/N]")
        assert "The terms of org.example.terms.value" in shown and "Only for research." in shown
        terminal.press(b"n\n")
        assert terminal.wait() == 8 and "--accept-terms" in terminal.screen
    assert not server.requests
    with in_terminal(line, "prepare", VALUE, "--direct") as terminal:
        terminal.until("accept them? [y/N]")
        terminal.press(b"y\n")
        assert terminal.wait() == 0
    server.forget()
    with in_terminal(line, "prepare", "--refresh", VALUE, "--direct") as terminal:
        assert terminal.wait() == 0 and "accept them?" not in terminal.screen
    assert server.requests


@pytest.mark.parametrize("name, engine", [(VALUE, ["--direct"]), (STYLED, []), (MADE, ["--direct"])])
def test_11_every_style_of_definition_requires_them_and_a_flag_accepts_them(
    name: str, engine: list[str], line: CommandLine, server: FaultyServer
) -> None:
    refused = line.run("prepare", name, *engine, code=8)
    assert f"dataset-assets prepare --accept-terms {name}\n" in refused.stderr and not server.requests
    line.run("prepare", "--accept-terms", name, *engine)
    line.run("prepare", name, "--direct")


def test_11_they_block_no_listing_search_or_description_and_ask_nothing_there(line: CommandLine) -> None:
    assert VALUE in line.run("search", "faces").stdout and line.run("ls").stdout == ""
    with in_terminal(line, "info", VALUE) as terminal:
        assert terminal.wait() == 0 and "not accepted:" in terminal.screen and "[y/N]" not in terminal.screen
    assert (line.json("info", VALUE)["terms"], line.json("info", VALUE)["terms_accepted"]) == (
        "Only for research.",
        False,
    )


def test_11_a_setting_accepts_them_where_nobody_can_be_asked(line: CommandLine) -> None:
    line.run("prepare", VALUE, DATASET_ASSETS_ACCEPT_TERMS="org.example.terms.*")
    line.run("prepare", STYLED, "--direct", code=8, DATASET_ASSETS_ACCEPT_TERMS=VALUE)


def test_11_cite_prints_bibtex_and_notices(line: CommandLine) -> None:
    line.run("prepare", "--accept-terms", MADE, "--direct")
    shown = line.run("cite", MADE).stdout.splitlines()
    assert shown[0].startswith(f"% {MADE}@") and "licence not stated" in shown[0]
    assert shown[1] == f"@misc{{{MADE}," and shown[-1] == "}"
    [document] = line.json("cite", MADE)
    assert (document["dataset"], document["splits"], document["license"]) == (MADE, ["all"], None)
    assert json.dumps(document["bibtex"])[1:-1].startswith("@misc")
    assert "allows only MIT" in line.run("prepare", VALUE, code=8, DATASET_ASSETS_ALLOW_LICENSES="MIT").stderr


def test_13_every_remote_file_is_checked_without_a_download_and_the_worst_is_the_exit_code(
    line: CommandLine, server: FaultyServer, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: server.files.update({"/table.txt": b"1\n2\n"}))
    server.script("/table.txt", [Status(405)])
    assert [one["status"] for one in line.json("check", "--sources", VALUE)] == ["ok"]
    assert [(sent.method, sent.headers["Range"]) for sent in server.requests] == [("HEAD", None), ("GET", "bytes=0-0")]
    found = line.json("check", "--sources", "org.example.terms.*")
    assert [(one["dataset"], one["file"], one["status"]) for one in found] == [
        (STYLED, "table_txt", "ok"),
        (VALUE, "table_txt", "ok"),
    ]
    assert {sent.method for sent in server.requests[2:]} == {"HEAD"}
    line.run("prepare", VALUE, "--accept-terms", "--direct")
    server.files["/table.txt"] = b"1\n3\n"
    changed = line.run("check", "--sources", VALUE, code=4)
    assert changed.stdout.startswith(f"changed  {VALUE} table_txt  {server.url}/table.txt has the ETag")
    server.files.clear()
    [gone] = line.json("check", "--sources", VALUE, code=5)
    assert gone["status"] == "failed" and gone["urls"][0]["url"] == f"{server.url}/table.txt"
    assert line.run("check", "--sources", VALUE, **OFF).stdout.startswith("skipped ")
    assert "check --sources" in line.run("check", VALUE, code=2).stderr
    line.run("check", "--sources", "org.nowhere.*", code=3)


def test_versions_are_compared_on_the_command_line(line: CommandLine, server: FaultyServer) -> None:
    old = line.json("prepare", VALUE, "--accept-terms", "--direct")["id"]
    server.files["/table.txt"] = b"1\n5\n7\n"
    new = line.json("prepare", VALUE, "--refresh", "--direct")["id"]
    server.files["/table.txt"] = b"1\n2\n"
    shown = line.run("diff", old, new).stdout.splitlines()
    assert shown[:2] == [
        f"{old} -> {new}",
        "all          2 -> 3 samples: 1 the same, 2 added, 1 removed, 0 changed",
    ]
    assert "  numbers of n: max 2 -> 7, mean 1.5 -> 4.33333, std 0.5 -> 2.49444" in shown
    found = line.json("diff", old, VALUE, "--by", "n")
    assert (found["a"], found["b"], found["equal"]) == (old, new, False)
    assert line.run("diff", new, VALUE).stdout.startswith(f"{new} -> {new}: no difference")
    line.run("diff", VALUE, STYLED, code=3)
    assert "No split has a stream 'm' in both" in line.run("diff", old, new, "--by", "m", code=3).stderr

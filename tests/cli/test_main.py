"""The command line, in processes of its own: what it prints and where, how it ends, how long it takes to start."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
from command_line import COMMAND, FAILING, SITUATIONS, TABLE, CommandLine, in_terminal

from dataset_assets.cli import groups
from dataset_assets.cli.main import commands
from dataset_assets.testing import Fault, FaultyServer, Line, Slow, Stall

DIGITS = "io.github.rasbt.mnist_5k"
PENGUINS = "io.github.allisonhorst.penguins"
ENGINES = [pytest.param(["--direct"], id="direct"), pytest.param([], id="dagster")]


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/table.csv": TABLE}) as server:
        yield server


@pytest.fixture
def line(tmp_path: Path, server: FaultyServer) -> CommandLine:
    """A command line with a plugin whose datasets are on the server."""
    server.forget()
    line = CommandLine(tmp_path)
    line.install("web", {"web": FAILING.format(url=server.url)}, datasets={"org.example.web": "web"})
    return line


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A command line that prepared two of the datasets that ship with us."""
    line = CommandLine(tmp_path_factory.mktemp("shipped"))
    line.run("prepare", DIGITS, "--direct")
    line.run("prepare", PENGUINS, "--direct")
    return line


def paths_in(document: Any) -> list[str]:
    """Return every path that a document has, at any depth."""
    if isinstance(document, dict):
        own = [document["path"]] if document.get("path") else []
        return own + [path for value in document.values() for path in paths_in(value)]
    return [path for value in document for path in paths_in(value)] if isinstance(document, list) else []


# What is printed, and where.


@pytest.mark.parametrize("verb", sorted(commands.commands))
def test_every_verb_has_help_that_fits_a_line_in_the_list(verb: str, shipped: CommandLine) -> None:
    assert "Usage: dataset-assets " + verb in shipped.run(verb, "--help").stdout
    [listed] = [row for row in shipped.run("--help").stdout.splitlines() if row.startswith(f"  {verb} ")]
    assert listed.endswith(".") and not listed.endswith("...")


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "digits"], ["info", DIGITS], ["info", "com.lecun.mnist"], ["prepare", DIGITS, "--direct"],
        ["prepare", DIGITS], ["ls"], ["verify"], ["verify", DIGITS], ["versions", DIGITS],
        ["path", DIGITS, "train", "image"], ["create", "{new}", "train", "valid"],
        ["export", PENGUINS, "--to", "{new}", "--as", "parquet"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_json_is_one_document_on_stdout_whose_paths_exist(
    arguments: list[str], shipped: CommandLine, tmp_path: Path
) -> None:
    document = shipped.json(*(word.format(new=tmp_path / "new") for word in arguments))
    found = [*paths_in(document), *(document.get("paths", ()) if isinstance(document, dict) else ())]
    assert all(os.path.exists(path) for path in found)
    assert found or arguments[0] in ("search", "verify") or "com.lecun.mnist" in arguments


def test_all_verbs_take_json_but_those_that_the_readme_names() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    [said] = re.findall(r"All verbs but ([^.]+) take `--json`", readme)
    without = [name for name, verb in verbs_below(commands) if all(one.name != "as_json" for one in verb.params)]
    assert sorted(without) == sorted(re.findall(r"`([^`]+)`", said))


def verbs_below(verb: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(verb, click.Group):
        yield name, verb
        return
    for inner, one in verb.commands.items():
        yield from verbs_below(one, f"{name} {inner}".strip())


def test_json_names_the_version_that_load_opens(shipped: CommandLine) -> None:
    from dataset_assets import load

    document = shipped.json("info", DIGITS)
    assert document["id"] == f"{DIGITS}@{document['version']}"
    views = load(document["id"], storage=document["storage"])
    for split, view in views.items():
        assert document["splits"][split]["digest"] == view.origin.index
        assert document["splits"][split]["samples"] == len(view)
    assert shipped.json("prepare", DIGITS, "--direct")["id"] == document["id"]
    assert shipped.json("versions", DIGITS)[0]["id"] == document["id"]
    assert document["id"] in [stored["id"] for stored in shipped.json("ls")]


def test_what_a_definition_prints_does_not_get_among_the_data(line: CommandLine) -> None:
    found = line.run("prepare", "org.example.web.fine", "--json", "--direct")
    assert json.loads(found.stdout)["samples"] == 400
    assert "printed by a definition" in found.stderr


def test_prepare_prints_what_to_pin_and_says_which_engine_worked(line: CommandLine) -> None:
    for options, engine in (["--direct"], "direct"), ([], "dagster"):
        found = line.run("prepare", "org.example.web.fine", *options)
        assert re.fullmatch(r"org\.example\.web\.fine@[0-9a-f]{64}\n", found.stdout)
        assert f"engine: {engine}" in found.stderr and "400 samples" in found.stderr


def test_a_dry_run_shows_what_is_missing_and_offline_lists_it(line: CommandLine) -> None:
    shown = line.run("prepare", "org.example.web.fine", "--dry-run").stdout.splitlines()
    assert [words.split()[0] for words in shown][:2] == [
        "retrieve",
        shown[1].split()[0],
    ] and "make      1 splits" in shown[2]
    [file] = line.json("prepare", "org.example.web.fine", "--dry-run")["files"]
    for engine in ((), ("--direct",)):
        refused = line.run("prepare", "org.example.web.fine", "--offline", *engine, code=5).stderr
        assert "1 file is missing" in refused and file["url"] in refused
    line.run("prepare", "org.example.web.fine", "--direct")
    line.run("prepare", "org.example.web.fine", "--offline")
    assert line.json("prepare", "org.example.web.fine", "--dry-run")["files"] == []


def test_both_engines_make_the_same_bytes(line: CommandLine) -> None:
    direct = line.json("prepare", "org.example.web.fine", "--direct")
    elsewhere = (line.home / "elsewhere").as_uri()
    dagster = line.json("prepare", "org.example.web.fine", "--storage", elsewhere)
    assert direct["version"] == dagster["version"]
    assert dagster["run"] and not direct["run"]
    assert [*(line.home / "dagster" / "history" / "runs").glob("*.db")]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_refresh_takes_what_the_source_has_now(
    engine: list[str], line: CommandLine, server: FaultyServer, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: server.files.update({"/table.csv": TABLE}))
    first = line.json("prepare", "org.example.web.fine", *engine)
    server.files["/table.csv"] = TABLE[: -len(TABLE.splitlines(keepends=True)[-1])]
    assert line.json("prepare", "org.example.web.fine", *engine)["version"] == first["version"]
    again = line.json("prepare", "org.example.web.fine", "--refresh", *engine)
    assert again["version"] != first["version"] and again["samples"] == first["samples"] - 1


def test_search_says_which_definitions_were_never_run_on_the_publishers_files(line: CommandLine) -> None:
    shown = {row.split()[0]: row for row in line.run("search", "digits").stdout.splitlines()}
    assert shown["com.lecun.mnist"].split()[1] == "(unverified)"
    assert "unverified" not in shown[DIGITS]
    found = {one["name"]: one["verified"] for one in line.json("search", "digits")}
    assert (found["com.lecun.mnist"], found[DIGITS]) == (False, True)
    assert {name for name, row in shown.items() if "unverified" in row} == {
        name for name, verified in found.items() if verified is False
    }


def test_quiet_says_nothing_and_verbose_says_more(line: CommandLine) -> None:
    quiet = line.run("prepare", "org.example.web.missing", "--direct", "-q", code=5)
    assert len(quiet.stderr.splitlines()) == 1
    assert line.run("-q", "ls").stderr == ""
    assert line.run("ls").stderr.startswith("No dataset is stored in file:///")
    assert "urllib3" in line.run("prepare", "org.example.web.fine", "--direct", "-vv").stderr


def test_info_says_what_is_known_and_draws_what_is_stored(shipped: CommandLine) -> None:
    found = shipped.run("info", DIGITS).stdout
    for part in (
        "CC-BY-SA-3.0",
        "LeCun",
        "10 classes: 0, 1",
        "complete",
        "4000 samples",
        "train[0]\n",
        "train[2000]\n  image:\n    ",
        "label: 9",
    ):
        assert part in found
    assert found.count("@") > 20  # the darkest ink
    assert "island Torgersen, " in shipped.run("info", PENGUINS).stdout


def test_info_says_of_ours_whether_it_was_ever_run_on_the_publishers_bytes(line: CommandLine) -> None:
    assert "never run on the publisher's files" in line.run("info", "com.lecun.mnist").stdout
    assert "never run" not in line.run("info", DIGITS).stdout
    assert "never run" not in line.run("info", "org.example.web.fine").stdout
    states = {name: line.json("info", name)["verified"] for name in ("com.lecun.mnist", DIGITS, "org.example.web.fine")}
    assert list(states.values()) == [False, True, None]


def test_what_is_stored_is_told_without_its_definition(line: CommandLine) -> None:
    line.run("prepare", "org.example.web.fine", "--direct")
    (line.site / "web.py").unlink()
    assert line.json("info", "org.example.web.fine")["samples"] == 400
    assert "400 samples" in line.run("info", "org.example.web.fine").stdout


def test_one_damaged_dataset_does_not_hide_the_others(line: CommandLine) -> None:
    line.run("prepare", "org.example.web.fine", "--direct")
    line.run("prepare", PENGUINS, "--direct")
    (line.home / "storage/org/example/web/fine/current.json").write_text("{")
    found = line.run("ls").stdout.splitlines()
    assert len(found) == 2 and "damaged" in found[1] and "344 samples" in found[0]
    assert "damaged" in line.run("info", "org.example.web.fine").stdout
    assert "whole" in line.run("verify", code=4).stdout


def test_on_a_terminal_a_dataset_is_a_line(line: CommandLine) -> None:
    with in_terminal(line, "search", "digits") as terminal:
        assert terminal.wait() == 0
    rows = terminal.screen.splitlines()
    assert len(rows) == len(line.run("search", "digits").stdout.splitlines()) > 3
    assert max(map(len, rows)) == 100 and any(row.endswith("...") for row in rows)


def test_colour_is_for_terminals_that_want_it(line: CommandLine) -> None:
    for environment, coloured in ({}, True), ({"NO_COLOR": "1"}, False):
        with in_terminal(line, "info", "org.example.web.nothing", **environment) as terminal:
            assert terminal.wait() == 3
            assert ("\x1b[" in terminal.screen) == coloured
    assert "\x1b[" not in line.run("info", "org.example.web.nothing", code=3).stderr


# How it ends.


@pytest.mark.parametrize("code, dataset", SITUATIONS.items())
def test_each_class_of_failure_has_its_exit_code(code: int, dataset: str, line: CommandLine) -> None:
    failed(line.run("prepare", f"org.example.web.{dataset}", "--direct", code=code))


@pytest.mark.parametrize("code", [4, 7, 9])
def test_a_failure_in_dagster_has_the_same_exit_code(code: int, line: CommandLine) -> None:
    """That it is the same error in each case is seen in test_running.py."""
    failed(line.run("prepare", f"org.example.web.{SITUATIONS[code]}", code=code))


def failed(found: "subprocess.CompletedProcess[str]") -> None:
    [said] = [row for row in found.stderr.splitlines() if row.startswith("dataset-assets: ")]
    assert said == found.stderr.splitlines()[-1]
    assert found.stdout == "" and "Traceback" not in found.stderr and "[Errno" not in said


@pytest.mark.parametrize(
    "code, arguments, said",
    [
        (2, ["nonsense"], "No such command"),
        (2, ["prepare"], "Missing argument"),
        (2, ["info", "mnist"], "not a qualified name"),
        (2, ["ls", "--storage", "ftp://host/x"], "No storage connector"),
        (2, ["search", "id:["], "not a regular expression"),
        (2, ["ui", "--port", "99999"], "not in the range"),
        (3, ["info", "com.lecun.mnst"], "Did you mean 'com.lecun.mnist'?"),
        (3, ["versions", "com.lecun.mnist"], "dataset-assets prepare com.lecun.mnist"),
        (3, ["verify", "com.lecun.mnist"], "dataset-assets prepare com.lecun.mnist"),
        (3, ["path", DIGITS, "tran"], "Did you mean 'train'?"),
        (3, ["path", DIGITS, "train", "imag"], "Did you mean 'image'?"),
        (3, ["path", f"{DIGITS}@{'0' * 64}"], "There is no version"),
        (3, ["search", "tag:image", "tag:nothing"], "No dataset matches"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(code: int, arguments: list[str], said: str, shipped: CommandLine) -> None:
    found = shipped.run(*arguments, code=code)
    lines = (found.stderr or found.stdout).splitlines()
    assert len(lines) == 1 and said in lines[0]


def test_debug_shows_the_traceback_wherever_it_stands(line: CommandLine) -> None:
    for arguments in (["--debug", "info", "a.b"], ["info", "a.b", "--debug"]):
        found = line.run(*arguments, code=1)
        assert "Traceback" in found.stderr and "UnknownDataset" in found.stderr


def test_verify_finds_a_changed_byte_and_prepare_mends_it(line: CommandLine) -> None:
    document = line.json("prepare", "org.example.web.fine", "--direct")
    path = Path(document["splits"]["all"]["streams"]["text"]["files"][0]["path"])
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    found = line.run("verify", "--json", code=4)
    assert "has sha256" in json.loads(found.stdout)[0]["problem"]
    path.unlink()
    assert line.run("path", "org.example.web.fine", "all", code=4).stdout == ""
    line.run("prepare", "org.example.web.fine", "--direct")
    assert line.run("verify").stdout.split() == ["org.example.web.fine", "whole"]


def test_the_reader_of_a_pipe_may_leave(shipped: CommandLine) -> None:
    for arguments in (["search"], ["info", DIGITS], ["ls", "--json"]):
        process = shipped.start(*arguments)
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(120) == 0


def test_an_output_that_cannot_be_written_is_said(shipped: CommandLine) -> None:
    command = [*COMMAND, "search", "digits"]
    with open("/dev/full", "w") as full:
        found = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=shipped.environment)
    assert found.returncode == 6 and len(found.stderr.splitlines()) == 1 and "cannot be written" in found.stderr
    closed = ["bash", "-c", '"$@" >&-', "bash", *command]
    found = subprocess.run(closed, capture_output=True, text=True, env=shipped.environment)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_a_terminal_without_a_letter_gets_its_escape(shipped: CommandLine) -> None:
    text = (
        "from dataset_assets import Dataset, Split, Text\n"
        "words = Dataset('org.umlaut.words', 'W\\u00f6rter.', {'word': Text()}, {'all': Split(lambda: iter(()))})\n"
    )
    shipped.install("umlaut", {"umlaut": text}, datasets={"org.umlaut": "umlaut"})
    assert "Wörter." in shipped.run("info", "org.umlaut.words", PYTHONIOENCODING="utf-8").stdout
    assert r"W\xf6rter." in shipped.run("info", "org.umlaut.words", PYTHONIOENCODING="ascii").stdout
    assert shipped.json("info", "org.umlaut.words")["summary"] == "Wörter."


@pytest.mark.parametrize("engine", ENGINES)
def test_ctrl_c_ends_a_stalled_download_at_once_and_the_next_run_is_fine(
    engine: list[str], line: CommandLine, server: FaultyServer
) -> None:
    server.forget()
    server.script("/table.csv", [Stall(0.5)])
    with in_terminal(line, "prepare", "org.example.web.fine", *engine) as terminal:
        terminal.until("B/")  # the bar says how much is there
        terminal.press(b"\x03")
        # It does not wait for the server, which would be asked again after half a minute.
        assert terminal.wait() == 130
        assert len(server.requests) == 1
        assert "Traceback" not in terminal.screen
        assert "interrupted" in terminal.screen.splitlines()[-1]
    assert [*(line.home / "scratch").iterdir()] == []
    assert not (line.home / "storage/org/example/web/fine/current.json").exists()
    assert line.json("prepare", "org.example.web.fine", *engine)["samples"] == 400


def test_an_interrupt_without_a_terminal_ends_it_too(line: CommandLine, server: FaultyServer) -> None:
    server.script("/table.csv", [Stall(0.5)])
    process = line.start("prepare", "org.example.web.fine", "--direct")
    while not server.requests:
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=250)
    assert (process.returncode, out) == (130, "") and "interrupted" in said


@pytest.mark.parametrize("module", ["click", "numpy", "requests"])
@pytest.mark.parametrize(
    "entry", [["-m", "dataset_assets"], ["-c", "from dataset_assets.__main__ import main; main()"]]
)
def test_an_interrupt_while_modules_are_imported_is_no_traceback(
    entry: list[str], module: str, line: CommandLine
) -> None:
    (line.site / f"{module}.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(20)\n"
    )
    run = [sys.executable, *entry, "prepare", "org.example.web.fine", "--direct"]
    found = subprocess.run(run, env=line.environment, capture_output=True, text=True, timeout=250)
    assert (found.returncode, found.stdout) == (130, "")
    assert "Traceback" not in found.stderr and "dataset-assets: interrupted" in found.stderr.splitlines()[-1]


# The bar.


def test_a_bar_tells_rate_and_remaining_time(line: CommandLine, server: FaultyServer) -> None:
    server.script("/table.csv", [Slow(1500)])
    with in_terminal(line, "prepare", "org.example.web.fine", "--direct") as terminal:
        assert terminal.wait() == 0
    frames = terminal.screen.replace("\r", "\n").splitlines()
    drawn = re.compile(r"table_csv: +\d+%.*k?/6\.0\dk \[\d\d:\d\d<\d\d:\d\d, [\d.]+k?B/s")
    shown = [frame for frame in frames if drawn.match(frame)]
    assert len(shown) > 5
    assert any(frame.startswith("table_csv: 100%") for frame in frames)
    assert max(len(frame) for frame in frames if frame.startswith("table_csv")) <= 96  # of 100


def test_a_bar_says_that_nothing_comes(line: CommandLine, server: FaultyServer) -> None:
    held = Held()
    server.script("/table.csv", [held])
    with in_terminal(line, "prepare", "org.example.web.fine", "--direct") as terminal:
        shown = terminal.until("nothing for ")
        assert re.search(r"nothing for ([3-9]|\d\d+) s", terminal.until(" s", after=shown.index("nothing for ")))
        held.go.set()
        assert terminal.wait() == 0


class Held(Fault):
    """Sends half of the body, and the rest when it may go on."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def send(self, line: Line, body: bytes) -> None:
        line.write(body[: len(body) // 2])
        self.go.wait(120)
        line.write(body[len(body) // 2 :])


def test_where_there_is_no_terminal_there_is_no_bar(line: CommandLine, server: FaultyServer) -> None:
    server.script("/table.csv", [Slow(6000)])
    assert "%" not in line.run("prepare", "org.example.web.fine", "--direct").stderr
    server.script("/table.csv", [Slow(6000)])
    with in_terminal(line, "prepare", "org.example.web.fine", "--direct", "--quiet") as terminal:
        assert terminal.wait() == 0
    assert "%" not in terminal.screen


# Completion.


def completed(line: CommandLine, *words: str) -> list[str]:
    """Return what bash is told to complete the last word with."""
    environment = {"COMP_WORDS": " ".join(["dataset-assets", *words]), "COMP_CWORD": str(len(words))}
    found = line.run(code=None, _DATASET_ASSETS_COMPLETE="bash_complete", **environment)
    assert found.stderr == ""
    return [row.partition(",")[2] for row in found.stdout.splitlines() if row]


def test_shells_complete_verbs_names_splits_and_streams(line: CommandLine) -> None:
    line.install("ruined", {"ruined": "raise OSError('of its own')"}, datasets={"org.ruined": "ruined"})
    assert completed(line, "ver") == ["verify", "versions"]
    assert completed(line, "info", "com.lec") == ["com.lecun.mnist"]
    beginning = [f"org.example.web.{name}" for name in ("other_bytes", "outside", "overtaken")]
    assert completed(line, "prepare", "org.example.web.o") == beginning
    assert completed(line, "path", DIGITS, "t") == ["train", "test"]
    assert completed(line, "path", DIGITS, "train", "i") == ["image"]
    assert completed(line, "path", "com.nobody.knows", "t") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_verb_prints_what_the_shell_needs(shell: str, shipped: CommandLine) -> None:
    script = shipped.run("completion", shell).stdout
    assert "_DATASET_ASSETS_COMPLETE" in script and "dataset-assets" in script


def test_bash_takes_the_script(line: CommandLine, tmp_path: Path) -> None:
    program = tmp_path / "dataset-assets"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dataset_assets "$@"\n')
    program.chmod(0o755)
    typed = (
        'eval "$(dataset-assets completion bash)"; COMP_WORDS=(dataset-assets info com.lec); COMP_CWORD=2; '
        '_dataset_assets_completion dataset-assets; echo "${COMPREPLY[@]}"'
    )
    path = {**line.environment, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    found = subprocess.run(["bash", "-c", typed], env=path, capture_output=True, text=True)
    assert found.stdout.split() == ["com.lecun.mnist"], found.stderr


# What it imports, on which depends how long it takes to start: benchmarks/search.py says how long.

IMPORTED = """
import sys
from dataset_assets.cli.main import main
try:
    main()
finally:
    print("imported:", *{"numpy", "requests", "tqdm", "pandas", "pyarrow", "torch", "dagster"} & {*sys.modules})
    slow = {"importlib.metadata", "email", "zipfile", "difflib", "concurrent.futures", "numpy.random"}
    rooms = {name for name in sys.modules if name.startswith(("dataset_assets.reading", "dataset_assets.checks"))}
    verbs = {name for name in sys.modules if name in ("dataset_assets.cli.share", "dataset_assets.cli.maintain")}
    print("needless:", *sorted(slow & {*sys.modules} | rooms | verbs), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments, imported",
    [(["--help"], ""), (["search", "digits"], " numpy"), (["info", "com.lecun.mnist"], " numpy")],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_a_verb_imports_only_what_it_needs(arguments: list[str], imported: str, shipped: CommandLine) -> None:
    run = [sys.executable, "-c", IMPORTED, *arguments]
    found = subprocess.run(run, env=shipped.environment, capture_output=True, text=True)
    assert found.stdout.splitlines()[-1] == f"imported:{imported}", found.stderr
    # The help lists the verbs of all modules; our definitions import the decoders, which read zip files.
    if arguments != ["--help"]:
        assert {*found.stderr.splitlines()[-1].split()} <= {"needless:", "zipfile"}


def test_completion_of_verbs_imports_next_to_nothing() -> None:
    code = "import sys, dataset_assets.cli.main; print({'numpy', 'requests', 'tqdm', 'dagster'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_each_verb_is_where_the_table_of_verbs_says() -> None:
    assert {name: verb.name for name, verb in commands.commands.items()} == {name: name for name in commands.commands}
    modules = [import_module(f"dataset_assets.cli.{module}") for module in groups._MODULES]
    # Groups within groups, such as those of settings, are not verbs of their own.
    defined = {each for module in modules for each in vars(module).values() if isinstance(each, click.Command)}
    inner = {each for verb in defined if isinstance(verb, click.Group) for each in verb.commands.values()}
    assert defined - inner <= {*commands.commands.values()}


def test_the_module_is_the_command() -> None:
    assert subprocess.run([*COMMAND, "--version"], capture_output=True, text=True).stdout.startswith("dataset-assets")


def test_the_help_lists_every_verb_once_in_its_group(line: CommandLine) -> None:
    shown = line.run("--help").stdout
    titles = re.findall(r"^([A-Z]\w+):$", shown, re.MULTILINE)
    assert titles[:7] == ["Options", "Find", "Make", "Keep", "Share", "Experiments", "Settings"]
    listed = re.findall(r"^  ([a-z][a-z-]+)  +\S", shown.partition("\nFind:\n")[2], re.MULTILINE)
    assert sorted(listed) == sorted(commands.commands)

"""Control characters of others never reach a terminal: they are shown as escapes, wherever they come from."""

import ast
import doctest
import json
import logging
import os
import sys
import unicodedata
from pathlib import Path

import click
import pytest
from command_line import CommandLine, in_terminal

import dataset_assets.core.escape as module
from dataset_assets import errors
from dataset_assets.cli import common as shell
from dataset_assets.cli import text
from dataset_assets.core.escape import in_line, indented
from dataset_assets.core.progress import _Bar
from dataset_assets.errors import visible

STEERING = [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
BAD = "x\x1b]0;title\x07\x1b[31m\r\x7f\x9b\u202e\u2066\u2028y"

PLANTED = f"""
import sys, warnings
from dataset_assets import Dataset, Split, Text

def fine():
    yield {{"text": {BAD!r} * 2, "more": {BAD!r}}}

def raising():
    warnings.warn({BAD!r})
    raise KeyError({BAD!r})

def warned(name, function):
    return Dataset("org.planted." + name, {"first" + BAD + chr(10) + "second"!r}, {{"text": Text(), "more": Text()}},
        {{"train": Split(function)}}, license={BAD!r}, citation={BAD!r}, homepage={BAD!r}, tags=("tag",))

fine, raising = warned("fine", fine), warned("raising", raising)
import logging
logging.getLogger("dataset_assets.planted").warning("%s", {BAD!r})
"""


def is_plain(text: str) -> bool:
    return all(c.isprintable() or c in "\n\t" for c in text)


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    """A command line with a plugin whose author put control characters wherever there is text."""
    line = CommandLine(tmp_path)
    line.install("planted", {"planted": PLANTED}, datasets={"org.planted": "planted"})
    line.install("ruined", {"ruined": f"raise OSError({BAD!r})"}, datasets={"org.ruined": "ruined"})
    return line


def test_the_examples_in_the_docstrings_run() -> None:
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


def test_each_character_that_steers_is_an_escape_that_python_reads_back() -> None:
    assert len(STEERING) > 2000
    text = "".join(STEERING)
    for shown, kept in ((visible(text), "\n\t"), (in_line(text), "")):
        assert all(c.isprintable() or c in kept for c in shown)
        # A surrogate pair would be read back as one character.
        assert all(ascii(c)[1:-1] in shown for c in STEERING if c not in kept)
    assert visible("żółć 数字 🙂\tα\nb") == "żółć 数字 🙂\tα\nb"


def test_a_second_line_of_a_message_is_not_taken_for_a_message() -> None:
    assert indented("failed\r\ndataset-assets: done") == "failed\\r\n    dataset-assets: done"


@pytest.mark.parametrize("kind", [errors.UsageError, errors.RetrievalError, errors.StorageError, errors.NotPrepared])
def test_no_error_of_ours_says_a_control_character(kind: type[Exception]) -> None:
    assert is_plain(str(kind(BAD))) and is_plain(str(kind(5, f"the server said {BAD}")))


def test_the_place_of_an_error_is_escaped_too() -> None:
    with pytest.raises(errors.DigestMismatch) as caught, errors.at(f"file {BAD}"):
        raise errors.DigestMismatch("It has other bytes.")
    assert is_plain(str(caught.value))


@pytest.mark.parametrize(
    "verb", ["search", "info", "versions", "path", "prepare", "ls", "verify", "copy", "pin", "du", BAD]
)
@pytest.mark.parametrize("loud", [[], ["--debug"]])
def test_what_is_asked_for_is_shown_with_escapes(verb: str, loud: list[str], line: CommandLine) -> None:
    found = line.run(verb, BAD, *loud, code=None)
    assert is_plain(found.stdout + found.stderr), ascii(found.stdout + found.stderr)


def test_what_others_wrote_is_shown_with_escapes(line: CommandLine) -> None:
    for arguments in (
        ["search", "planted"], ["info", "org.planted.fine"], ["prepare", "org.planted.fine", "--direct"],
        ["info", "org.planted.fine"], ["versions", "org.planted.fine"], ["-vv", "prepare", "org.planted.raising"],
        ["prepare", "org.planted.raising", "--debug", "--direct"], ["search", "planted", "--storage", BAD],
        ["doctor"], ["ls", "--storage", f"file:///{BAD}"], ["new", f"org.example.{BAD}"],
    ):  # fmt: skip
        found = line.run(*arguments, code=None)
        assert found.stdout + found.stderr, arguments
        assert is_plain(found.stdout + found.stderr), (arguments, ascii(found.stdout + found.stderr))


def test_a_summary_cannot_add_a_row(line: CommandLine) -> None:
    rows = line.run("search", "planted").stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["org.planted.fine", "org.planted.raising"]


def test_json_stays_json_and_holds_what_was_written(line: CommandLine) -> None:
    for arguments in (["search", "planted", "--json"], ["info", "org.planted.fine", "--json"]):
        text = line.run(*arguments).stdout
        assert is_plain(text) and BAD in str([*_strings(json.loads(text))])


def _strings(document: object) -> "list[str]":
    if isinstance(document, dict):
        return [text for value in document.values() for text in _strings(value)]
    if isinstance(document, list):
        return [text for value in document for text in _strings(value)]
    return [type("Whole", (str,), {"__repr__": str.__str__})(document)]


def test_a_path_is_as_it_is_in_a_pipe_and_escaped_on_a_terminal(line: CommandLine, tmp_path: Path) -> None:
    storage = tmp_path / "a\x1b[31mb"
    line.run("prepare", "org.planted.fine", "--direct", "--storage", str(storage))
    arguments = ["path", "org.planted.fine", "train", "text", "--storage", str(storage)]
    paths = line.run(*arguments).stdout.splitlines()
    assert paths and all(os.path.exists(path) for path in paths)
    with in_terminal(line, *arguments, NO_COLOR="1") as terminal:
        assert terminal.wait() == 0
    assert "\\x1b[31m" in terminal.screen and "\x1b[31m" not in terminal.screen


def test_a_bar_has_an_escaped_name(capsys: pytest.CaptureFixture[str]) -> None:
    bar = _Bar(f"file {BAD}", sys.stderr)
    assert is_plain(bar.bar.desc)
    bar.bar.close()


def test_records_of_logs_and_warnings_are_escaped() -> None:
    record = logging.LogRecord("x", logging.WARNING, "", 1, "%s", (f"a\n{BAD}",), None)
    assert shell.BarSafeHandler(sys.stderr).format(record) == indented(f"a\n{BAD}")
    assert is_plain(shell._formatted_warning(BAD, UserWarning, f"{BAD}.py", 1, BAD))


def test_rows_of_usage_and_versions_are_escaped() -> None:
    made = {"version": BAD, "current": False, "problem": f"{BAD}\nforged", "findings": []}
    document = {"dataset": BAD, "versions": [{**made, "bytes": 1, "own": 1}]}
    numbers = dict.fromkeys(("bytes", "streams", "raw", "documents", "shared", "free"), 1)
    assert is_plain(text.usage([{**document, **numbers}])) and "\nforged" not in text.usage([{**document, **numbers}])


def test_usage_errors_of_click_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    shell._complain_of_use(click.BadParameter(BAD))
    said = capsys.readouterr().err
    assert "\\x1b]0;title" in said and is_plain(said)


def test_nothing_is_printed_elsewhere() -> None:
    folder = Path(shell.__file__).parent.parent
    printing = {
        path.name
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "click.echo", "sys.stdout.write")
    }
    # That of the terms is the question, whose text is escaped.
    assert printing == {"common.py", "terms.py"}

"""`reconcile`: what differs between Dagster's history and the storage, and whether all is well by its exit code."""

from pathlib import Path

from command_line import CommandLine

NAME = "io.github.allisonhorst.penguins"
RAW = "io/github/allisonhorst/penguins/raw/penguins_csv"


def test_it_lists_mends_and_says_by_its_code_whether_all_is_well(fast_path: Path) -> None:
    line = CommandLine(fast_path)
    line.run("prepare", "--direct", NAME)
    assert f"unrecorded  {RAW}: The storage has" in line.run("reconcile", NAME, code=4).stdout
    assert all(each["mended"] for each in line.json("reconcile", NAME, "--mend"))
    done = line.run("reconcile", "io.github.allisonhorst.*")
    assert not done.stdout and "The history and the storage agree." in done.stderr
    # Under the keys of a project the history knows nothing, and the advice repeats how they are named.
    named = ("--key-prefix", "lake/raw", "--raw-assets", "one")
    other = line.run("reconcile", NAME, *named, code=4)
    assert f"unrecorded  lake/raw/{RAW.rpartition('/raw')[0]}/all: " in other.stdout and RAW not in other.stdout
    assert "reconcile --mend --key-prefix lake/raw --raw-assets one" in other.stderr
    assert all(each["mended"] for each in line.json("reconcile", NAME, *named, "--mend"))

"""A pytest plugin: where REQUIRE_ALL_TESTS is set, a test that is skipped for what could be installed fails."""

import os
from typing import Generator

import pytest

VARIABLE = "REQUIRE_ALL_TESTS"

EXCUSES = (
    # What this system is not, or does not let its users do.
    "looks into /proc",
    "the peak is read from /proc",
    "files are adjoined on Linux",
    "pages are asked for on Linux only",
    "network namespaces are of Linux",
    "has no fork",
    "only root can ",
    "no network namespace can be made here",
    "this machine has no address but loopback",
    "needs a file system that takes no folders",
    "needs a second file system",
    "there is no second filesystem",
    "no filesystem may be mounted here",
    "this filesystem keeps files in memory",
    # What somebody who uses a suite of ours does not claim.
    "open_storage does not know its scheme",
    "the loader does not promise exact states",
)
"""How the reasons of such skips begin."""


def refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Let the report say that the test failed, if it was skipped without an excuse where none may be missing."""
    if not os.environ.get(VARIABLE) or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else "no reason"
    if not reason.startswith(EXCUSES):
        report.outcome = "failed"
        report.longrepr = f"{VARIABLE} is set, and this test is skipped: {reason}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Refuse that a test is skipped."""
    report = yield
    refuse(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Refuse that a file is skipped."""
    report = yield
    refuse(report)
    return report

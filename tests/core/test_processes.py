"""A machine knows which of its own processes have ended, and nothing about those of others."""

import os
import subprocess
import sys

from dataset_assets.core.processes import _started, lives, this_process


def test_a_process_of_this_machine_is_known_to_be_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = this_process()._replace(process=child.pid, started="")
    assert not owner.is_gone and lives(child.pid)
    child.communicate(b"\n")
    assert owner.is_gone and not lives(child.pid)


def test_a_process_with_the_number_of_one_that_ended_is_not_taken_for_it() -> None:
    assert not this_process().is_gone
    assert this_process()._replace(started="1").is_gone


def test_a_process_that_ended_and_was_not_waited_for_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = _started(child.pid)
    owner = this_process()._replace(process=child.pid, started=started)
    assert started and not owner.is_gone
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert owner.is_gone
    child.communicate()


def test_of_another_machine_another_boot_or_another_container_nothing_is_known() -> None:
    gone = this_process()._replace(process=4_194_400)
    assert gone.is_gone
    boot, _, namespace = gone.machine.rpartition("-")
    for machine in ("", f"{boot}-1", f"{'0' * 8}-0-{namespace}"):
        assert not gone._replace(machine=machine).is_gone


def test_it_names_process_and_host() -> None:
    assert str(this_process()) == f"process {os.getpid()} on {os.uname().nodename}"

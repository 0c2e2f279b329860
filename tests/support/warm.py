"""Python processes that start warm: they are forked from one that imported the package and what it needs once.

Most of the processor time of a short command goes into imports, and the suite runs hundreds of commands. What is run
here has its own process, arguments, environment, working folder and files, as a command has. What a test says of
imports, of start-up or of `PYTHON...` variables is run by `subprocess` instead.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

LENGTH = 8


def run(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, text: str = "", seconds: float = 240
) -> "subprocess.CompletedProcess[str]":
    """Run `python` with some arguments to its end: `-m` and a module, `-c` and code, or a script.

    Raises `subprocess.TimeoutExpired` as `subprocess.run` does; the process is killed then.
    """
    if _read_at_start(environment) == _read_at_start(os.environ) and _busy.acquire(blocking=False):
        try:
            return _run(arguments, environment, folder, text, seconds)
        finally:
            _busy.release()
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, env=environment, cwd=folder, input=text, capture_output=True, text=True, timeout=seconds
    )


_busy = threading.Lock()


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a process reads when it starts, and a forked one does not."""
    names = [name for name in environment if name.startswith(("PYTHON", "LANG", "LC_", "LD_")) and name != "PYTHONPATH"]
    return {name: environment[name] for name in names}


def _run(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, text: str, seconds: float
) -> "subprocess.CompletedProcess[str]":
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        given.write(text.encode())
        given.seek(0)
        order = json.dumps([list(arguments), dict(environment), str(folder)]).encode()
        link = _forker(os.getpid())
        socket.send_fds(link, [len(order).to_bytes(LENGTH, "big")], [given.fileno(), out.fileno(), errors.fileno()])
        link.sendall(order)
        child = int.from_bytes(_received(link, LENGTH), "big")
        link.settimeout(seconds)
        try:
            code = int.from_bytes(_received(link, LENGTH), "big", signed=True)
        except TimeoutError:
            os.kill(child, signal.SIGKILL)
            link.settimeout(None)
            _received(link, LENGTH)
            raise subprocess.TimeoutExpired([*arguments], seconds, _read(out), _read(errors)) from None
        finally:
            link.settimeout(None)
        return subprocess.CompletedProcess([sys.executable, *arguments], code, _read(out), _read(errors))


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


@functools.cache
def _forker(pid: int) -> socket.socket:
    """Start the process that imports and forks, once in each process; it ends when this one does."""
    mine, other = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, __file__, str(other.fileno())], pass_fds=[other.fileno()], start_new_session=True,
        cwd="/", env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    other.close()
    atexit.register(_end, mine, process)
    return mine


def _end(link: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    link.close()
    process.wait(10)


def _received(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = link.recv(size - len(data))
        if not piece:
            raise EOFError("the process that forks has ended")
        data += piece
    return data


# --- in the process that forks


def _fork_for_each(link: socket.socket) -> None:
    while True:
        head, given, _, _ = socket.recv_fds(link, LENGTH, 3)
        if not head:
            return
        head += _received(link, LENGTH - len(head)) if len(head) < LENGTH else b""
        arguments, environment, folder = json.loads(_received(link, int.from_bytes(head, "big")))
        child = os.fork()
        if not child:
            link.close()
            for place, descriptor in enumerate(given):
                os.dup2(descriptor, place)
                os.close(descriptor)
            os._exit(_ended(functools.partial(_become, arguments, environment, folder)))
        for descriptor in given:
            os.close(descriptor)
        link.sendall(child.to_bytes(LENGTH, "big"))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        link.sendall(code.to_bytes(LENGTH, "big", signed=True))


def _ended(program: Callable[[], None]) -> int:
    """Run a program to its end, and return its exit code. What Python would free after it is left to the kernel."""
    code: object = 0
    try:
        program()
    except SystemExit as exit:
        code = exit.code
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if isinstance(code, str):
        print(code, file=sys.stderr, flush=True)
    return code if isinstance(code, int) else int(code is not None)


def _become(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    """Run what `python` would run."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    kind, *rest = arguments
    first = {"-m": folder, "-c": ""}.get(kind, os.path.dirname(os.path.abspath(kind)))
    added = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [first, *added, *(path for path in sys.path[1:] if path not in added)]
    sys.path_importer_cache.clear()
    tempfile.tempdir = None
    if kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), vars(sys.modules["__main__"]))
    else:
        sys.argv = arguments
        runpy.run_path(kind, run_name="__main__")


NEEDED = (
    "dagster", "pandas", "pyarrow.csv", "pyarrow.ipc", "requests", "sqlalchemy", "dataset_assets.cli.main",
    "dataset_assets.orchestration",
)  # fmt: skip


if __name__ == "__main__":
    # In the children this module is not there: they run another as `__main__`.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    channel = socket.socket(fileno=int(sys.argv[1]))
    for name in NEEDED:
        importlib.import_module(name)
    gc.freeze()
    _fork_for_each(channel)

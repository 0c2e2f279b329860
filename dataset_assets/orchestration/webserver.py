"""Starts Dagster's web UI behind the guard, with its daemon and one code server, as `dagster dev` does.

    python -m dataset_assets.orchestration.webserver PORT [HOST ...]

Dagster's server runs in this process, so that no other port bypasses the guard.
"""

import os
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Sequence

import dagster as dg
import uvicorn
import yaml  # type: ignore[import-untyped]
from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget, WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from dataset_assets.orchestration.guard import Guard

MODULE = "dataset_assets.orchestration.definitions"
HOST = "127.0.0.1"
LEVEL = "warning"
ENDING_SECONDS = 10
# The values of Dagster's own command.
STATEMENT_MILLISECONDS, RECYCLE_SECONDS, MORE_CONNECTIONS, POLL_MILLISECONDS = 15_000, 3600, 20, 2000


def main(port: int, hosts: Sequence[str]) -> None:
    """Serve the UI of the instance in DAGSTER_HOME until interrupted."""
    # Shows errors in definitions as `dagster dev` does.
    os.environ["DAGSTER_IS_DEV_CLI"] = "1"
    with (
        dg.DagsterInstance.get() as instance,
        _code_server(instance) as workspace,
        _daemon(workspace) as daemon,
        _context(instance, workspace) as context,
    ):
        app = create_app_from_workspace_process_context(context, "", POLL_MILLISECONDS)
        server = _server(Guard(_opening_on_assets(app), port, hosts), port)
        threading.Thread(target=_end_with, args=(daemon, server), daemon=True).start()
        server.run()
        if daemon.poll() is not None:
            sys.exit(f"Dagster's daemon ended with code {daemon.returncode}.")


def _opening_on_assets(app: ASGIApp) -> ASGIApp:
    """Return the application with the assets as its first page: Dagster's own first page is the timeline of runs."""

    async def opened(scope: Scope, receive: Receive, send: Send) -> None:
        first = scope["type"] == "http" and scope["path"] == "/"
        await (RedirectResponse("/assets") if first else app)(scope, receive, send)

    return opened


def _server(app: Guard, port: int) -> uvicorn.Server:
    # Open pages hold a WebSocket; do not wait for them on shutdown.
    options = {"log_level": LEVEL, "lifespan": "off", "timeout_graceful_shutdown": 2}
    return uvicorn.Server(uvicorn.Config(app, host=HOST, port=port, **options))  # type: ignore[arg-type]


@contextmanager
def _context(instance: dg.DagsterInstance, workspace: Path) -> Iterator[WorkspaceProcessContext]:
    instance.optimize_for_webserver(STATEMENT_MILLISECONDS, RECYCLE_SECONDS, MORE_CONNECTIONS)
    target = WorkspaceFileTarget([str(workspace)])
    with WorkspaceProcessContext(instance, version=__version__, workspace_load_target=target) as context:
        yield context


@contextmanager
def _code_server(instance: dg.DagsterInstance) -> Iterator[Path]:
    """Serve the definitions on a socket, and yield the workspace file that names it."""
    target = ModuleTarget(MODULE, attribute=None, working_directory=os.getcwd(), location_name="dataset_assets")
    with ProxyServerManager(instance, target, LEVEL) as servers, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "workspace.yaml"
        path.write_text(yaml.dump({"load_from": servers.get_code_server_specs()}))
        yield path


@contextmanager
def _daemon(workspace: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Run the daemon, which launches queued runs, schedules and sensors."""
    command = ["-m", "dagster._daemon", "run", "--log-level", LEVEL, "--workspace", str(workspace)]
    process = subprocess.Popen([sys.executable, *command])
    try:
        yield process
    finally:
        # Not SIGINT: a daemon that is still starting would print a traceback.
        process.terminate()
        try:
            process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _end_with(daemon: "subprocess.Popen[bytes]", server: uvicorn.Server) -> None:
    daemon.wait()
    server.should_exit = True


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), sys.argv[2:])
    except KeyboardInterrupt:
        sys.exit(0)

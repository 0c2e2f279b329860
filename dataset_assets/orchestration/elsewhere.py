"""Warns of a storage that is on this machine only, where steps, runs or the history may be on another one.

It is said when definitions are loaded, as by `dg check defs`, and in the event log of a run.
"""

import functools
import logging
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import dagster as dg
import yaml  # type: ignore[import-untyped]

from dataset_assets.core.redact import redacted
from dataset_assets.storage import Storage

HERE = ("file", "sqlite", "memory")
"""The schemes of storages that other machines cannot open."""

EXECUTORS = ("k8s", "docker", "ecs", "celery", "celery-k8s", "celery-docker", "dask", "ray", "slurm")
"""The executors of Dagster's packages that run each step in a container, or on another machine."""

NETWORK = (
    *("nfs", "cifs", "smb", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "afs", "9p", "virtiofs", "ocfs2", "gfs2"),
    *("orangefs", "wekafs", "juicefs", "sshfs", "s3fs", "gcsfuse", "goofys", "blobfuse", "rclone", "davfs", "mfs"),
)
"""How the types of file systems begin that several machines mount."""

OF_THE_HOST = ("9p", "virtiofs")
"""Those by which a virtual machine mounts folders of its own host."""

MOUNTS = Path("/proc/self/mounts")

log = logging.getLogger(__name__)
_warned: set[tuple[str, str]] = set()


def warn_if_elsewhere(context: dg.AssetExecutionContext, storage: Storage) -> None:
    """Log a warning if other steps or runs may not find what the storage holds: once in a process of a run."""
    place = (context.run.run_id, storage.url)
    if place in _warned or not is_here(storage.url):
        return
    _warned.add(place)
    if who := _leaving(context, urlsplit(storage.url).scheme) or _home():
        context.log.warning(_said(who, storage.url))


@functools.cache
def warn_if_deployed_elsewhere(url_of: Callable[[], str]) -> None:
    """Log a warning, once in a process, if this deployment takes runs away from a storage of this machine."""
    if (who := _configured_launcher() or _home()) and is_here(url := url_of()):
        log.warning("%s", _said(who, redacted(url)))


def is_here(url: str) -> bool:
    """Say whether only this machine, or this process, can open a storage."""
    parts = urlsplit(url)
    if parts.scheme not in HERE:
        return False
    return parts.scheme == "memory" or not is_of_network(Path(unquote(parts.path)))


def _said(who: str, url: str) -> str:
    return (
        f"{who} may start the next step or the next run on another machine or in another container, where the data in "
        f"{url} are not found. Use a storage that all of them reach, such as s3://bucket/prefix, or a volume that all "
        "of them mount."
    )


def _configured_launcher() -> str:
    """Return the run launcher of `dagster.yaml`, if it is of another package than Dagster's own; it is not opened."""
    try:
        document = yaml.safe_load((Path(os.environ["DAGSTER_HOME"]) / "dagster.yaml").read_text()) or {}
        launcher = document["run_launcher"]
        module, name = str(launcher["module"]), str(launcher["class"])
    except (KeyError, TypeError, OSError, UnicodeDecodeError, yaml.YAMLError):
        return ""
    return "" if module.partition(".")[0] == "dagster" else f"The run launcher {name}"


def _home() -> str:
    """Return Dagster's home if it is on a file system of the network, where other machines find the same history."""
    home = os.environ.get("DAGSTER_HOME", "")
    kind = file_system_of(Path(home)) if home else ""
    shared = kind.startswith(NETWORK) and not kind.startswith(OF_THE_HOST)
    return f"Dagster's home {home}, which other machines may mount," if shared else ""


def _leaving(context: dg.AssetExecutionContext, scheme: str) -> str:
    """Return what takes work away from this machine, or from this process if that holds the data; empty: nothing."""
    executor = context.job_def.executor_def.name
    if executor in EXECUTORS or (scheme == "memory" and executor == "multiprocess"):
        return f"The executor {executor!r}"
    try:
        launcher = context.instance.run_launcher
    except Exception as error:  # in a container that it has started, what it needs may be missing
        return f"The run launcher, which cannot be opened here ({type(error).__name__}),"
    if isinstance(launcher, dg.DefaultRunLauncher) or type(launcher).__module__.partition(".")[0] == "dagster":
        return ""
    return f"The run launcher {type(launcher).__name__}"


def is_of_network(folder: Path, mounts: Path = MOUNTS) -> bool:
    """Say whether a path lies on a file system of the network, as far as this system tells; links are followed."""
    return file_system_of(folder, mounts).startswith(NETWORK)


def file_system_of(folder: Path, mounts: Path = MOUNTS) -> str:
    """Return the type of the file system of a path; empty if this system does not tell."""
    folder = Path(os.path.realpath(folder))
    try:
        lines = [line.split(" ") for line in mounts.read_text().splitlines()]
    except OSError:
        return ""
    kinds = {line[1].replace("\\040", " "): line[2] for line in lines}
    kind = next((kinds[str(above)] for above in (folder, *folder.parents) if str(above) in kinds), "")
    return kind.removeprefix("fuse.")

"""Warns of a storage that is on this machine only, in a run whose steps, or whose next run, may be on another one."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import dagster as dg

from dataset_assets.storage import Storage

HERE = ("file", "sqlite", "memory")
"""The schemes of storages that other machines cannot open."""

EXECUTORS = ("k8s", "docker", "ecs", "celery", "celery-k8s", "celery-docker", "dask", "ray", "slurm")
"""The executors of Dagster's packages that run each step in a container, or on another machine."""

NETWORK = ("nfs", "cifs", "smb", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "afs", "9p", "virtiofs")
"""How the types of file systems begin that several machines mount."""

_warned: set[tuple[str, str]] = set()


def warn_if_elsewhere(context: dg.AssetExecutionContext, storage: Storage) -> None:
    """Log a warning if other steps or runs may not find what the storage holds: once in a process of a run."""
    scheme, place = urlsplit(storage.url).scheme, (context.run.run_id, storage.url)
    if scheme not in HERE or place in _warned or not (who := _leaving(context, scheme)):
        return
    _warned.add(place)
    if scheme != "memory" and _is_of_network(Path(unquote(urlsplit(storage.url).path))):
        return
    context.log.warning(
        f"{who} may start the next step or the next run on another machine or in another container, where the data in "
        f"{storage.url} are not found. Use a storage that all of them reach, such as s3://bucket/prefix, or a volume "
        "that all of them mount."
    )


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


def _is_of_network(folder: Path) -> bool:
    """Say whether a path lies on a file system of the network, as far as this system tells."""
    try:
        lines = [line.split(" ") for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return False
    kinds = {line[1].replace("\\040", " "): line[2] for line in lines}
    kind = next((kinds[str(above)] for above in (folder, *folder.parents) if str(above) in kinds), "")
    return kind.removeprefix("fuse.").startswith(NETWORK)

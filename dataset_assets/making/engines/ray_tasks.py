"""The engine of a cluster: tasks of Ray, on the cluster that RAY_ADDRESS names, or else on this machine."""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, ClassVar

from dataset_assets.core.workers import killed_again
from dataset_assets.errors import NotInstalled
from dataset_assets.making.engines import R, T
from dataset_assets.making.engines.sending import called, packed


class RayTasks:
    """Makes each part in a task of Ray, which puts it into the storage; only records travel back.

    The machines of the cluster need this package, the modules of the functions, and access to the storage by its URL.
    """

    shares_disk: ClassVar[bool] = False

    def each(self, function: Callable[[T], R], tasks: Iterable[tuple[str, T]], jobs: int) -> Iterator[R]:
        """Yield the result of each task when it ends; what was killed is done once more, on whatever machine."""
        ray = _begun(jobs)
        task_of = ray.remote(max_retries=1, retry_exceptions=False, scheduling_strategy="SPREAD")(called)
        count = max(jobs, int(ray.cluster_resources().get("CPU", 1)))
        waiting, running = ((name, packed(name, function, task)) for name, task in tasks), dict[Any, str]()
        try:
            while True:
                for name, task in islice(waiting, count + 1 - len(running)):
                    running[task_of.remote(task)] = name
                if not running:
                    return
                [ended], _ = ray.wait([*running], num_returns=1)
                name = running.pop(ended)
                yield self._result(ray, ended, name)
        finally:
            for one in running:
                ray.cancel(one, force=True)

    @staticmethod
    def _result(ray: Any, ended: Any, name: str) -> Any:
        try:
            return ray.get(ended)
        except ray.exceptions.RayTaskError as error:
            # What the function raised, as it was.
            raise (error.cause if isinstance(error.cause, Exception) else error) from error
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError) as error:
            raise killed_again(f"made {name}", "the part", error) from error


def _begun(jobs: int) -> Any:
    """Return Ray, connected to a cluster. Raises `NotInstalled`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise NotInstalled(
            "The engine ray needs Ray, which is not installed. Run: pip install 'dataset_assets[ray]'"
        ) from error
    if not ray.is_initialized():
        cluster = os.environ.get("RAY_ADDRESS")
        ray.init(address=cluster, log_to_driver=False, **({} if cluster else {"num_cpus": jobs, **_LOCAL}))
    return ray


_LOCAL: dict[str, Any] = {"include_dashboard": False, "_node_ip_address": "127.0.0.1", "object_store_memory": 100 << 20}

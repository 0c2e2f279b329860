"""Imports what steps need, for the process from which Dagster's multiprocess executor forks them.

    dg.multiprocess_executor.configured(
        {"start_method": {"forkserver": {"preload_modules": ["dataset_assets.orchestration.preload"]}}}
    )

The storages of the history are imported when it is opened, so it is opened once; nothing stays open.
"""

from contextlib import suppress

import dagster as dg

import dataset_assets.orchestration.definitions as definitions

__all__ = ["definitions"]

# Without DAGSTER_HOME, or where the history does not answer, a step opens it itself and says why.
with suppress(Exception), dg.DagsterInstance.get() as _history:
    _history.get_run_records(limit=1)
    _history.all_asset_keys()

"""A condition of Dagster's automation that goes by data versions, which are digests of the data here."""

from typing import Any

import dagster as dg


def on_new_data() -> "dg.AutomationCondition[Any]":
    """Return a condition like `AutomationCondition.eager()` that asks only if the data of a dependency changed.

    A refresh that finds nothing new materializes the dataset again, with the same data version: `eager()` then runs
    what depends on it, and this condition does not.
    """
    condition = dg.AutomationCondition
    # A run that made the dependency and the asset together has used the new data already.
    changed = condition.data_version_changed() & ~condition.executed_with_root_target()
    updated = condition.any_deps_match(changed).with_label("any_deps_have_new_data")
    return condition.eager().replace("any_deps_updated", updated).with_label("on_new_data")

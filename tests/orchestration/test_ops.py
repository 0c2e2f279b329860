"""Pools, tags and retries of a deployment reach every step of a dataset."""

from pathlib import Path

import dagster as dg
import pytest
import tiny
from orchestrated import QUIET, failures, retries

from dataset_assets import Dataset
from dataset_assets.orchestration import OpOptions, definitions

KUBERNETES = {"dagster-k8s/config": {"container_config": {"resources": {"limits": {"cpu": "2"}}}}}
POLICY = dg.RetryPolicy(max_retries=2)
# A dataset with a retrieved file, a derived one, splits, a release and a push.
PLACES = {"push_to": "memory://far", "pull": ["shared.flower"], "pull_from": "memory://far"}


def nodes(defined: dg.Definitions) -> list[dg.OpDefinition]:
    found = [*(defined.assets or ()), *(defined.asset_checks or ())]
    return [asset.op for asset in found if isinstance(asset, dg.AssetsDefinition) and asset.is_executable]


def test_every_step_has_the_pool_the_tags_and_the_retries_that_are_given(dataset: Dataset) -> None:
    given = definitions(datasets=[dataset], op=OpOptions("downloads", KUBERNETES, POLICY), **PLACES)
    dg.Definitions.validate_loadable(given)
    assert len(nodes(given)) == 8
    for op in nodes(given):
        assert op.pool == "downloads" and op.retry_policy == POLICY
        assert "limits" in str(op.tags["dagster-k8s/config"])
    for op in nodes(definitions(datasets=[dataset], **PLACES)):
        assert op.pool is None and op.retry_policy is None and "dagster-k8s/config" not in op.tags


@pytest.mark.parametrize("retried", [POLICY, None])
def test_a_source_that_fails_is_asked_again_in_any_job(
    retried: dg.RetryPolicy | None, home: Path, fast_path: Path
) -> None:
    absent = tiny.tiny((fast_path / "absent").as_uri() + "/")
    defined = definitions(datasets=[absent], op=OpOptions(retry_policy=retried))
    with dg.DagsterInstance.ephemeral() as instance:
        job = defined.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False)
    assert list(failures(result)) == ["org__example__tiny__raw"]
    assert retries(result) == ["org__example__tiny__raw"] * (2 if retried else 0)

"""A Dagster job of several datasets, as the processes of its steps find it, which reads where their files are."""

import os

import dagster as dg
from orchestrated import lines

from dataset_assets import Array, Dataset, RemoteFile, Split
from dataset_assets.orchestration import definitions

URL = "TEST_FILES_URL"
NAMES = ("a", "b", "c")


def one(name: str) -> Dataset:
    table = RemoteFile(f"{os.environ[URL]}/{name}.csv")
    return Dataset(f"org.example.{name}", "One file.", {"n": Array("int64")}, {"all": Split(lines, table=table)})


def everything() -> dg.JobDefinition:
    job = dg.define_asset_job("everything", dg.AssetSelection.all())
    defined = dg.Definitions.merge(definitions(datasets=[one(name) for name in NAMES]), dg.Definitions(jobs=[job]))
    return defined.resolve_job_def("everything")

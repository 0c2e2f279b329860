"""What the UI's own pages ask its server, as plain calls: launch a run, wait for it, and read what it left."""

import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

ENDED = ("SUCCESS", "FAILURE", "CANCELED")

LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries {
    name loadStatus locationOrLoadError { __typename ... on PythonError { message } } } }
  ... on PythonError { message } } }
"""

LAUNCH = """
mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } } ... on InvalidSubsetError { message } } }
"""

RUN = "query ($run: ID!) { runOrError(runId: $run) { __typename ... on Run { status } } }"

RUNS = "{ runsOrError(limit: 1) { ... on Runs { results { runId } } } }"

KEYS = "{ assetNodes { assetKey { path } } }"

ASSET = """
query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { __typename ... on AssetNode {
    description groupName kinds staleStatus staleCauses { reason } dataVersion
    assetMaterializations(limit: 1) { runId tags { key value } metadataEntries {
        label ... on IntMetadataEntry { intValue } ... on TextMetadataEntry { text }
        ... on MarkdownMetadataEntry { mdStr } ... on UrlMetadataEntry { url } ... on PathMetadataEntry { path }
        ... on JsonMetadataEntry { jsonString } ... on TableSchemaMetadataEntry { schema { columns { name type } } } } }
    assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization {
        status runId evaluation { success severity description } } } } } } } }
"""


@dataclass(frozen=True)
class Asset:
    """What the server knows of an asset; `metadata` and `tags` are those of its latest materialization."""

    description: str
    group: str
    kinds: tuple[str, ...]
    stale: str
    causes: tuple[str, ...]
    data_version: str | None
    run: str | None
    metadata: Mapping[str, Any]
    tags: Mapping[str, str]
    checks: Mapping[str, "Check"]


@dataclass(frozen=True)
class Check:
    """The latest execution of a check."""

    run: str
    status: str
    severity: str
    found: str


class GraphQL:
    """The server's GraphQL; an error of it is an `AssertionError`."""

    def __init__(self, url: str) -> None:
        self.url = f"{url}/graphql"
        # A proxy that the environment names is not for what this machine serves itself.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, query: str, **variables: Any) -> Any:
        """Return the data of an answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with self.opener.open(request, timeout=60) as reply:
            answer = json.load(reply)
        assert not answer.get("errors"), answer["errors"]
        return answer["data"]

    def locations(self) -> list[str]:
        """Return the names of the code locations; empty while they load."""
        workspace = self.ask(LOCATIONS)["workspaceOrError"]
        entries = workspace["locationEntries"]
        for entry in entries:
            found = entry["locationOrLoadError"] or {}
            assert found.get("__typename") != "PythonError", found.get("message")
        loaded = all(entry["loadStatus"] == "LOADED" for entry in entries)
        return [entry["name"] for entry in entries] if loaded else []

    def assets(self, prefix: str = "") -> list[str]:
        """Return the keys of all assets below a key, and of itself, as `a/b/c`."""
        found = ["/".join(node["assetKey"]["path"]) for node in self.ask(KEYS)["assetNodes"]]
        return sorted(key for key in found if f"{key}/".startswith(prefix))

    def launch(self, keys: Sequence[str], tags: Mapping[str, str] | None = None) -> str:
        """Launch a run that materializes some assets with their checks; return its id."""
        [location] = self.locations()
        selector = {
            "repositoryLocationName": location,
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [_path(key) for key in keys],
            "assetCheckSelection": None,  # all
        }
        more = {"tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]}
        params = {"selector": selector, "mode": "default", "runConfigData": {}, "executionMetadata": more}
        launched = self.ask(LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def status(self, run: str) -> str:
        """Return the status of a run."""
        return str(self.ask(RUN, run=run)["runOrError"]["status"])

    def latest_run(self) -> str | None:
        """Return the id of the run that was launched last."""
        runs = self.ask(RUNS)["runsOrError"]["results"]
        return runs[0]["runId"] if runs else None

    def wait(self, run: str, seconds: float = 240) -> str:
        """Wait for the end of a run; return its status."""
        end = time.monotonic() + seconds
        while (status := self.status(run)) not in ENDED:
            assert time.monotonic() < end, f"run {run} is {status} after {seconds:.0f} s"
            time.sleep(0.3)
        return status

    def asset(self, key: str) -> Asset:
        """Return what the server knows of an asset."""
        node = self.ask(ASSET, key=_path(key))["assetNodeOrError"]
        assert node["__typename"] == "AssetNode", f"{key}: {node}"
        latest = next(iter(node["assetMaterializations"]), {"runId": None, "metadataEntries": [], "tags": []})
        return Asset(
            description=node["description"],
            group=node["groupName"],
            kinds=tuple(node["kinds"]),
            stale=node["staleStatus"],
            causes=tuple(cause["reason"] for cause in node["staleCauses"]),
            data_version=node["dataVersion"],
            run=latest["runId"],
            metadata={entry.pop("label"): _only(entry) for entry in latest["metadataEntries"]},
            tags={tag["key"]: tag["value"] for tag in latest["tags"]},
            checks=dict(map(_check, node["assetChecksOrError"].get("checks", []))),
        )


def _path(key: str) -> dict[str, list[str]]:
    return {"path": key.split("/")}


def _only(entry: Mapping[str, Any]) -> Any:
    """Return the one value of a metadata entry, whatever its kind."""
    return next(iter(entry.values()), None)


def _check(check: Mapping[str, Any]) -> tuple[str, Check]:
    execution = check["executionForLatestMaterialization"] or {}
    evaluation = execution.get("evaluation") or {}
    return check["name"], Check(
        run=execution.get("runId", ""),
        status=execution.get("status", "NEVER"),
        severity=evaluation.get("severity", ""),
        found=evaluation.get("description") or "",
    )

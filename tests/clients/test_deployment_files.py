"""The files for containers and clusters, as their own schemas take them. None is started."""

import json
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any, Iterator

import dagster as dg
import pytest
import yaml
from orchestrated import numbered, run
from places import ROOT

PLACE = ROOT / "examples" / "on_servers"
KUBERNETES = "1.34"
MANIFESTS = ("accounts.yaml", "collect.yaml", "parts.yaml")


@pytest.fixture(params=["docker", "kubernetes", "ray"])
def folder(request: pytest.FixtureRequest) -> Path:
    """A DAGSTER_HOME that is offered."""
    return PLACE / str(request.param)


def documents() -> Iterator[dict[str, Any]]:
    for name in MANIFESTS:
        yield from yaml.safe_load_all((PLACE / "kubernetes" / name).read_text())


def problems(kind: type[Any], config: Any) -> list[Any]:
    from dagster._config import process_config, resolve_to_config_type

    return process_config(resolve_to_config_type(kind.config_type()), config).errors or []


def test_dagster_and_its_launcher_take_the_configuration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.instance.config import dagster_instance_config

    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    config, _ = dagster_instance_config(str(folder))
    chosen = config["run_launcher"]
    launcher = getattr(import_module(chosen["module"]), chosen["class"])
    assert problems(launcher, chosen["config"]) == []
    assert problems(launcher, {**chosen["config"], "adress": ""})
    assert config["retention"]["schedule"]["purge_after_days"]["skipped"] == 3


def test_every_container_and_job_gets_what_the_history_and_the_storage_need() -> None:
    docker, ray = (yaml.safe_load((PLACE / name / "dagster.yaml").read_text()) for name in ("docker", "ray"))
    needed = {"DAGSTER_POSTGRES_URL", "PGPASSWORD", "DATASET_ASSETS_STORAGE", "AWS_SECRET_ACCESS_KEY"}
    assert needed < {*docker["run_launcher"]["config"]["env_vars"]}
    assert needed < {*ray["run_launcher"]["config"]["ray"]["env_vars"]}


def test_compose_takes_its_file() -> None:
    from compose_spec import PyCompose

    found = yaml.safe_load((PLACE / "docker" / "compose.yaml").read_text())
    assert PyCompose.from_json(json.dumps(found)).service_names()
    found["services"]["ui"]["prots"] = []
    with pytest.raises(ValueError, match="prots"):
        PyCompose.from_json(json.dumps(found))


def test_kubernetes_takes_the_manifests_and_they_name_each_other() -> None:
    import kubernetes_validate

    found = [*documents()]
    for each in found:
        assert kubernetes_validate.validate(each, KUBERNETES, strict=True) == KUBERNETES
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**found[-1], "spek": {}}, KUBERNETES, strict=True)
    names = {(each["kind"], each["metadata"]["name"]) for each in found}
    used = {("ServiceAccount", account) for account in _values(found, "serviceAccountName")}
    launcher = yaml.safe_load((PLACE / "kubernetes" / "dagster.yaml").read_text())["run_launcher"]["config"]
    assert used | {("ServiceAccount", launcher["service_account_name"])} <= names
    whole = yaml.safe_load((PLACE / "kubernetes" / "kustomization.yaml").read_text())
    assert {*whole["resources"]} == {*MANIFESTS}
    maps = {each["name"] for each in whole["configMapGenerator"]}
    assert {launcher["instance_config_map"], *launcher["env_config_maps"]} <= maps


def test_the_ui_is_reached_by_those_who_signed_on_only() -> None:
    proxy = tomllib.loads((PLACE / "oauth2_proxy.toml").read_text())
    assert proxy["upstreams"] == ["http://127.0.0.1:3000/"] and proxy["pass_host_header"] and proxy["proxy_websockets"]
    services = yaml.safe_load((PLACE / "docker" / "compose.yaml").read_text())["services"]
    [ui] = [each for each in documents() if (each["kind"], each["metadata"]["name"]) == ("Deployment", "ui")]
    commands = [services["ui"]["command"], *_values(ui, "command")]
    assert all(command[:5] == ["dagster-webserver", "-h", "127.0.0.1", "-p", "3000"] for command in commands)
    assert len(commands) == 2 and services["sign-on"]["network_mode"] == "service:ui"
    port = int(proxy["https_address"].strip(":"))
    assert [service["ports"] for service in services.values() if "ports" in service] == [[f"443:{port}"]]
    assert [*_values(ui, "containerPort")] == [port]


def test_a_run_in_a_container_of_docker_warns_of_a_storage_that_no_other_has(fast_path: Path, home: Path) -> None:
    launcher = yaml.safe_load((PLACE / "docker" / "dagster.yaml").read_text())["run_launcher"]
    with dg.DagsterInstance.local_temp(str(fast_path), {"run_launcher": launcher}) as instance:
        result = run(numbered(), instance)
        logged = [entry.user_message for entry in instance.all_logs(result.run_id) if entry.level == 30]
    assert result.success
    assert [line.startswith("The run launcher DockerRunLauncher may start the next") for line in logged] == [True]


def _values(found: Any, name: str) -> Iterator[Any]:
    """Yield what is called by a name, wherever it is in a document."""
    for key, value in found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ():
        if key == name:
            yield value
        yield from _values(value, name)

"""The component: YAML in a Dagster project -> the assets of registered datasets."""

import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dataset_assets import load
from dataset_assets.errors import NotFound

PENGUINS = "io.github.allisonhorst.penguins"
YAML = """\
type: dataset_assets.orchestration.DatasetComponent
attributes:
  datasets: [{datasets}]
"""


class Project:
    """A Dagster project with a defs folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.defs = root / "birdproject" / "defs"
        self.defs.mkdir(parents=True)
        (root / "birdproject" / "__init__.py").touch()
        (self.defs / "__init__.py").touch()
        (root / "pyproject.toml").write_text(
            '[project]\nname = "birdproject"\nversion = "1"\n[tool.dg]\ndirectory_type = "project"\n'
            '[tool.dg.project]\nroot_module = "birdproject"\n'
        )

    def add(self, name: str, datasets: str, storage: str = "") -> None:
        """Add a component of its own folder."""
        (self.defs / name).mkdir()
        text = YAML.format(datasets=datasets) + (f"  storage: {storage}\n" if storage else "")
        (self.defs / name / "defs.yaml").write_text(text)

    def load(self) -> dg.Definitions:
        """Load the project, as each version of Dagster does."""
        old = dg.__version__ < "1.12"
        return dg.load_from_defs_folder(**{"project_root": self.root} if old else {"path_within_project": self.defs})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("DATASET_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DATASET_ASSETS_STORAGE", raising=False)
    yield Project(tmp_path)
    for module in [name for name in sys.modules if name.partition(".")[0] == "birdproject"]:
        del sys.modules[module]


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what caused it: Dagster wraps those of a component."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def keys_of(defs: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}


def test_yaml_adopts_datasets_by_name_and_pattern(project: Project) -> None:
    project.add("birds", f'"{PENGUINS}", "com.*"')
    found = keys_of(project.load())
    assert {"io/github/allisonhorst/penguins", "com/lecun/mnist", "com/zalando/fashion_mnist/train/image"} <= found
    assert not [key for key in found if "rasbt" in key]


def test_what_it_adopts_is_materialized_where_the_yaml_says(project: Project, tmp_path: Path) -> None:
    storage = (tmp_path / "storage of the project").as_uri()
    project.add("birds", f'"{PENGUINS}"', storage)
    defs = project.load()
    assets = [asset for asset in defs.resolve_asset_graph().assets_defs if isinstance(asset, dg.AssetsDefinition)]
    assert dg.materialize(assets, instance=dg.DagsterInstance.ephemeral()).success
    assert len(load(PENGUINS, "all", storage=storage)) == 344
    assert not (tmp_path / "home" / "storage").exists()


def test_a_run_of_what_it_adopts_cannot_be_launched_with_another_storage(project: Project, tmp_path: Path) -> None:
    project.add("birds", f'"{PENGUINS}"', (tmp_path / "ours").as_uri())
    job = dg.Definitions.merge(project.load(), dg.Definitions(jobs=[dg.define_asset_job("all")])).resolve_job_def("all")
    [io] = [name for name in project.load().resources or {} if name.startswith("dataset_io")]
    launched = {"resources": {io: {"config": {"storage": (tmp_path / "chosen").as_uri()}}}}
    with pytest.raises(dg.DagsterInvalidConfigError):
        job.execute_in_process(run_config=launched)
    assert not (tmp_path / "ours").exists() and not (tmp_path / "chosen").exists()


BIRDS = """\
name: org.example.birds
summary: Two birds.
kind: table
streams: {song: text}
splits: {all: {url: birds.csv}}
"""


def test_a_definition_without_code_beside_the_yaml_is_materialized(project: Project, tmp_path: Path) -> None:
    storage = (tmp_path / "kept").as_uri()
    project.add("birds", f'"{PENGUINS}"', f'{storage}\n  files: ["birds.yaml"]')
    (project.defs / "birds" / "birds.yaml").write_text(BIRDS)
    (project.defs / "birds" / "birds.csv").write_text("song\nTirili.\nKrah.\n")
    graph = project.load().resolve_asset_graph()
    assets = [asset for asset in graph.assets_defs if any(key.path[:2] == ["org", "example"] for key in asset.keys)]
    assert dg.materialize(assets, instance=dg.DagsterInstance.ephemeral()).success
    assert [sample["song"] for sample in load("org.example.birds", "all", storage=storage)] == ["Tirili.", "Krah."]


def test_a_mistake_in_it_is_named_by_its_line_and_key(project: Project) -> None:
    project.add("birds", "", 'file:///x\n  files: ["birds.yaml"]')
    (project.defs / "birds" / "birds.yaml").write_text(BIRDS.replace("song: text", "song: txt"))
    with pytest.raises(Exception) as caught:
        keys_of(project.load())
    said = "".join(str(error) for error in causes(caught.value))
    assert "birds.yaml, line 4, streams.song.format: is 'txt', which is no format. Did you mean 'text'?" in said


def test_a_pattern_that_matches_nothing_is_an_error_that_names_the_file(project: Project) -> None:
    project.add("birds", '"io.github.allisonhorst.pinguins"')
    with pytest.raises(Exception) as caught:
        keys_of(project.load())
    [told] = [error for error in causes(caught.value) if isinstance(error, NotFound)]
    assert "Did you mean 'io.github.allisonhorst.penguins'?" in str(told) and "birds" in str(told)


def test_a_word_that_is_none_of_its_attributes_is_refused(project: Project) -> None:
    project.add("birds", f'"{PENGUINS}"', "file:///x\n  storages: file:///y")
    with pytest.raises(Exception) as caught:
        keys_of(project.load())
    assert any("storages" in str(error) for error in causes(caught.value))


def test_two_components_live_in_one_project_each_with_its_storage(project: Project, tmp_path: Path) -> None:
    project.add("birds", f'"{PENGUINS}"', (tmp_path / "birds").as_uri())
    project.add("digits", '"com.lecun.mnist"', f"{(tmp_path / 'digits').as_uri()}\n  resource_key: digits_io")
    project.add("more_digits", '"com.zalando.*"')
    found = project.load()
    dg.Definitions.validate_loadable(found)
    assert {"io/github/allisonhorst/penguins", "com/lecun/mnist", "com/zalando/fashion_mnist"} <= keys_of(found)
    assert {"digits_io", "dataset_io"} < {*(found.resources or {})}


OWN = """\
from dataset_assets import Array, Dataset, Split

def numbers():
    yield {"n": 1}

few = Dataset("org.example.few", "A few.", {"n": Array()}, {"all": Split(numbers)})
"""


def test_a_dataset_of_ones_own_is_named_by_module_and_attribute(project: Project) -> None:
    (project.root / "birdproject" / "own.py").write_text(OWN)
    project.add("own", f'"birdproject.own:few", "{PENGUINS}"')
    assert {"org/example/few/all/n", "io/github/allisonhorst/penguins"} <= keys_of(project.load())


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("birdproject.owl:few", "'birdproject.owl:few' cannot be imported: No module named 'birdproject.owl'"),
        ("birdproject.own:many", "has no attribute 'many'. Write it as module:attribute"),
        ("birdproject.own:numbers", "birdproject.own:numbers is a function, not a Dataset"),
        (":few", "Write it as module:attribute"),
        ("..:few", "Write it as module:attribute"),
    ],
)
def test_what_is_no_dataset_of_a_module_is_refused_with_the_file(project: Project, reference: str, said: str) -> None:
    (project.root / "birdproject" / "own.py").write_text(OWN)
    project.add("own", f'"{reference}"')
    with pytest.raises(Exception) as caught:
        keys_of(project.load())
    told = "".join(str(error) for error in causes(caught.value))
    assert said in told and str(project.defs / "own") in told


OP = """
  op:
    pool: downloads
    tags: {dagster/priority: "3"}
    retry: {max_retries: 4, delay: 0.5}
"""


def test_the_steps_of_a_component_have_its_pool_tags_and_retries(project: Project) -> None:
    project.add("birds", f'"{PENGUINS}"', f"file:///x{OP.rstrip()}")
    ops = [asset.op for asset in project.load().resolve_asset_graph().assets_defs if asset.is_executable]
    assert len(ops) >= 3 and {op.pool for op in ops} == {"downloads"}
    assert {(op.tags["dagster/priority"], op.retry_policy.max_retries, op.retry_policy.delay) for op in ops} == {
        ("3", 4, 0.5)
    }


TRANSLATION = """
  op: {name: birds}
  translation:
    group_name: birds
    owners: ["team:birds"]
    tags: {layer: raw}
    automation_condition: "{{ automation_condition.eager() }}"
    description: "{{ spec.description }} Of {{ dataset }}."
    key_prefix: lake
"""


def test_the_assets_of_a_component_are_translated(project: Project) -> None:
    project.add("birds", f'"{PENGUINS}"', f"file:///x{TRANSLATION.rstrip()}")
    graph = project.load().resolve_asset_graph()
    node = graph.get(dg.AssetKey(["lake", *PENGUINS.split(".")]))
    assert (node.group_name, node.owners, node.tags["layer"]) == ("birds", ["team:birds"], "raw")
    assert node.automation_condition == dg.AutomationCondition.eager()
    assert str(node.description).endswith(f'load("{PENGUINS}"). Of {PENGUINS}.')
    assert not [key for key in graph.get_all_asset_keys() if key.path[0] != "lake"]
    assert all(asset.op.name.startswith("birds__io__") for asset in graph.assets_defs if asset.is_executable)


@pytest.mark.parametrize("wrong", ["\n  translation: {owner: [a]}", "\n  raw_assets: both", "\n  op: {pol: 3}"])
def test_the_schema_of_a_component_refuses_what_it_does_not_know(project: Project, wrong: str) -> None:
    project.add("birds", f'"{PENGUINS}"', f"file:///x{wrong}")
    with pytest.raises(Exception) as caught:
        keys_of(project.load())
    said = "".join(str(error) for error in causes(caught.value))
    assert "defs.yaml:5" in said or "raw_assets" in said, said


NESTED = """
attributes:
  datasets: [x]
  op:
    retry: {max_retriez: 3, delay: soon}
    downloads_per_host: four
  translation: {owner: [a]}
  raw_assets: both
  refresh_unmade: perhaps
"""


def test_the_schema_that_dg_checks_names_the_very_key_of_each_mistake() -> None:
    import jsonschema
    import yaml

    from dataset_assets.orchestration.component import DatasetComponent

    model = DatasetComponent.get_model_cls()
    assert model is not None and model is DatasetComponent.get_model_cls()
    validator = jsonschema.Draft202012Validator(model.model_json_schema())
    errors = validator.iter_errors(yaml.safe_load(NESTED)["attributes"])
    assert sorted((".".join(map(str, error.absolute_path)), error.message.partition(" (")[0]) for error in errors) == [
        ("op.downloads_per_host", "'four' is not of type 'integer'"),
        ("op.retry", "Additional properties are not allowed"),
        ("op.retry.delay", "'soon' is not of type 'number'"),
        ("raw_assets", "'both' is not one of ['', 'one', 'each']"),
        ("refresh_unmade", "'perhaps' is not of type 'boolean'"),
        ("translation", "Additional properties are not allowed"),
    ]


@pytest.mark.parametrize("given", [{}, {"datasets": f"{PENGUINS}, com.lecun.*", "storage": "file:///x"}])
def test_what_is_scaffolded_loads_as_it_is(project: Project, given: dict[str, str]) -> None:
    from dataset_assets.orchestration.component import DatasetComponent, DatasetScaffolder

    folder = project.defs / "scaffolded"
    folder.mkdir()
    params = DatasetScaffolder.get_scaffold_params()(**given)
    name = f"dataset_assets.orchestration.{DatasetComponent.__name__}"
    DatasetScaffolder().scaffold(dg.ScaffoldRequest(name, folder, "yaml", project.root, params))
    assert PENGUINS.replace(".", "/") in keys_of(project.load())


def test_tools_of_dagster_find_the_component_by_an_entry_point() -> None:
    from importlib.metadata import entry_points

    [ours] = entry_points(group="dagster_dg_cli.registry_modules", name="dataset_assets")
    assert "DatasetComponent" in ours.load().__all__

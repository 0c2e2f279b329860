"""The wheel: built, installed outside of the clone, and doing there what the README says."""

import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Callable

import pytest
from places import ROOT
from ports import free_port

BLOCKS = re.findall(r"```(\w*)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
# What needs the clone begins with make; tests/acceptance/test_demo.py runs it.
LINES = [line for language, text in BLOCKS if not language for line in text.splitlines()]
SHELL = [line for line in LINES if not line.startswith("make ")]
PYTHON = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*pip, str(ROOT)], check=True)
    [built] = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has the wheel; what else is needed it takes from ours, but not our own package."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    # A path file of another's folder is not followed, so that ours does not lead back to the clone.
    [site] = folder.glob("lib/python*/site-packages")
    (site / "others.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")
    return folder


@pytest.fixture(scope="module")
def variables(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of a shell in which the environment is active."""
    home = tmp_path_factory.mktemp("home")
    held = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER", "DATASET", "PYTHON"))}
    path = f"{environment / 'bin'}{os.pathsep}{held['PATH']}"
    return {**held, "PATH": path, "DATASET_ASSETS_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}


def test_it_holds_the_package_its_types_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        [metadata] = [opened.read(name).decode() for name in names if name.endswith("METADATA")]
        [points] = [opened.read(name).decode() for name in names if name.endswith("entry_points.txt")]
    assert "dataset_assets/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"dataset_assets", wheel.name.split("-py3")[0] + ".dist-info"}
    assert not [name for name in names if re.search(r"(^|/)(tests?|conftest|birdhouse|__pycache__)(/|_|\.)", name)]
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "dataset_assets").rglob("*.py")} <= {*names}
    assert "dataset-assets = dataset_assets.__main__:main" in points
    assert "Requires-Python: >=3.11" in metadata
    rows = [row for row in metadata.splitlines() if row.startswith("Requires-Dist") and "extra" not in row]
    needed = {re.split(r"[<>=; ]", row.split(": ")[1])[0] for row in rows}
    assert {"click", "numpy", "platformdirs", "pyarrow", "requests", "tqdm"} <= needed
    assert not needed & {"dagster", "torch", "pandas"}


def test_the_readme_runs_from_it_top_to_bottom(environment: Path, variables: dict[str, str], tmp_path: Path) -> None:
    where = "import dataset_assets; print('from', dataset_assets.__file__)\n"
    code = where + "\n".join(PYTHON)
    found = subprocess.run(["python", "-c", code], env=variables, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert str(environment) in found.stdout.splitlines()[0]
    assert found.stdout.splitlines()[1] == "(8, 8) 0"
    ran = 0
    for line in SHELL:
        port = free_port()
        if line == "dataset-assets ui":
            serves(port, variables, tmp_path)
        else:
            found = subprocess.run(line, shell=True, env=variables, cwd=tmp_path, capture_output=True, text=True)
            assert found.returncode == 0, f"{line}: {found.stderr}"
        ran += 1
    assert ran == len(SHELL) >= 9


def serves(port: int, variables: dict[str, str], folder: Path) -> None:
    """See that the UI comes up, and ends when it is interrupted."""
    command = ["dataset-assets", "ui", "--port", str(port)]
    process = subprocess.Popen(command, env=variables, cwd=folder, text=True, stderr=subprocess.PIPE)
    assert process.stderr
    try:
        assert any("Ctrl-C" in row for row in process.stderr)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
    finally:
        process.kill()


def test_without_dagster_pandas_and_torch_it_prepares_and_loads(
    wheel: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    """What it declares it needs is enough."""
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"dagster", "dagster_webserver", "pandas", "torch", "sqlalchemy", "PIL", "pytest"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from importlib import util
found = util.find_spec
util.find_spec = lambda name, package=None: None if name.startswith("dagster") else found(name, package)
sys.argv = ["dataset-assets", "prepare", "io.github.allisonhorst.penguins", "--storage", sys.argv[1]]
from dataset_assets.cli.main import main
main()
"""
    command = ["python", "-c", code, tmp_path.as_uri()]
    found = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert "344 samples" in found.stderr and "engine: direct" in found.stderr


# A Dagster project of its own, outside of this repository


@pytest.fixture(scope="module")
def adopting(variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Give what runs this environment's Python in a folder that has somebody's project, and returns what it prints."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(ROOT / "tests" / "adopting", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pyc*"))
    places = {"DIGIT_MODELS_DATA": (folder / "data").as_uri(), "DIGIT_MODELS_RESULTS": str(folder / "results")}
    (folder / "history").mkdir()
    environment = {**variables, **places, "DAGSTER_HOME": str(folder / "history")}

    def run(*arguments: str) -> str:
        command = ["python", *arguments]
        found = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    return run


TRAINED = """
import dagster as dg, dataset_assets
print(dataset_assets.__file__)
from digit_models.definitions import defs
with dg.DagsterInstance.get() as instance:
    print(defs.load_asset_value("accuracy", instance=instance))
    print(sorted(defs.load_asset_value("sizes", instance=instance).values()))
"""

COMPONENT = """
import sys
from pathlib import Path
import dagster as dg
from dataset_assets import load
sys.path.insert(0, "")
defs = dg.load_from_defs_folder(path_within_project=Path("birds/defs").absolute())
assert defs.resolve_implicit_global_asset_job_def().execute_in_process().success
print(len(load("io.github.allisonhorst.penguins", "all", storage=Path("birds data").absolute().as_uri())))
"""

YAML = """
type: dataset_assets.orchestration.DatasetComponent
attributes:
  datasets: ["io.github.allisonhorst.*"]
  storage: {storage}
"""


def test_a_project_elsewhere_merges_our_datasets_into_its_own_and_trains_on_their_views(
    adopting: Callable[..., str], environment: Path, tmp_path: Path
) -> None:
    module = ["-m", "digit_models.definitions"]
    # One process, where this project's executor would start one for each step.
    (tmp_path / "config.yaml").write_text("execution: {config: {in_process: {}}}")
    adopting("-m", "dagster", "job", "execute", *module, "-j", "train", "-c", str(tmp_path / "config.yaml"))
    where, accuracy, sizes = adopting("-c", TRAINED).splitlines()
    assert where.startswith(str(environment)) and str(ROOT) not in where
    assert float(accuracy) > 0.7
    assert sizes == "[344, 1000, 4000]"


def test_a_project_elsewhere_adopts_datasets_by_yaml(adopting: Callable[..., str]) -> None:
    folder = Path(adopting("-c", "import os; print(os.getcwd())").strip())
    defs = folder / "birds" / "defs"
    (defs / "penguins").mkdir(parents=True)
    for package in (defs.parent, defs):
        (package / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "birds"\nversion = "1"\n[tool.dg]\ndirectory_type = "project"\n'
        '[tool.dg.project]\nroot_module = "birds"\n'
    )
    (defs / "penguins" / "defs.yaml").write_text(YAML.format(storage=(folder / "birds data").as_uri()))
    assert adopting("-c", COMPONENT) == "344\n"

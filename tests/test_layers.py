"""Imports go down: the contracts of pyproject.toml, and what training code may meet."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest
import rooms
from places import ROOT, TESTS

from dataset_assets import Array, Dataset, Split, prepare

PACKAGE = ROOT / "dataset_assets"
HEAVY = ("dagster", "torch", "pandas", "sqlalchemy", "requests", "obstore", "pyarrow")

# A line that breaks each contract, and the file that gets it.
FORBIDDEN = {
    "Arrows go down": ("core/names.py", "from dataset_assets.storage import Storage"),
    "No room and no file imports in a circle": ("formats/dtypes.py", "import dataset_assets.formats.array"),
    "Stored data is read without the code that defines or makes it": (
        "reading/cache.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import dataset_assets.definition.dataset",
    ),
    "Only orchestration imports Dagster": ("making/prepare.py", "def late():\n    import dagster"),
    "Only converters, the loader and experiments import torch": (
        "formats/array.py",
        "def late():\n    import torch.nn",
    ),
    "Only definitions, the test kit and the command line import the face": (
        "loader/loader.py",
        "from dataset_assets import load",
    ),
}

# Modules that no test imports: the test file that uses them through a door, a command or a URL.
THROUGH = {
    "__main__": "cli/test_main.py",
    "checks.keyed": "checks/test_groups.py",
    "checks.numbers": "checks/test_thresholds.py",
    "checks.pairs": "checks/test_equal_texts.py",
    "cli.difference": "acceptance/test_datamaestro_sources.py",
    "cli.find": "acceptance/test_datamaestro.py",
    "cli.forget": "cli/test_forget_command.py",
    "cli.inspect": "acceptance/test_datamaestro_sources.py",
    "cli.reconcile": "cli/test_reconcile_command.py",
    "cli.roots": "cli/test_roots_command.py",
    "cli.share": "acceptance/test_etcetera.py",
    "cli.ui": "orchestration/test_instance.py",
    "core.commands": "acceptance/test_remedies.py",
    "core.counters": "loader/test_stats.py",
    "core.loopback": "storage/connectors/test_credentials.py",
    "core.shared_record": "loader/test_epochs.py",
    "decoding.column_samples": "sources/test_infer.py",
    "decoding.tar_headers": "definition/test_folders.py",
    "decoding.tf_example": "decoding/test_field_readers.py",
    "decoding.zstd_stream": "decoding/test_decoding.py",
    "definition.in_place": "making/test_in_place.py",
    "definition.plain_splits": "definition/test_yaml_file.py",
    "definition.roles": "definition/test_dataset.py",
    "definition.split": "definition/test_split_arguments.py",
    "encoding.values": "encoding/test_encoding.py",
    "experiments.arrays": "experiments/test_values.py",
    "experiments.arrow_values": "experiments/test_values.py",
    "experiments.comparison": "experiments/test_experiment.py",
    "experiments.pandas_kinds": "experiments/test_values.py",
    "experiments.used": "experiments/test_ledger.py",
    "experiments.value_store": "experiments/test_data_store_io.py",
    "formats.ipc": "formats/test_forged_files.py",
    "formats.ranged": "reading/test_remote_columns.py",
    "formats.spans": "formats/test_ragged.py",
    "loader.output": "loader/test_loader.py",
    "loader.records": "loader/test_loader.py",
    "loader.trainers": "loader/test_epochs.py",
    "making.engines.sending": "making/test_engines.py",
    "making.part": "making/test_in_parts.py",
    "making.part_inputs": "making/test_in_parts.py",
    "making.partitions": "orchestration/test_partitions.py",
    "making.parts": "making/test_in_parts.py",
    "making.running": "making/test_steps.py",
    "making.patterns": "making/test_file_patterns.py",
    "making.sample_paths": "making/test_skipping.py",
    "making.source_looks": "orchestration/test_sources_observed.py",
    "making.version_checks": "making/test_prepare.py",
    "moving.croissant": "moving/test_export.py",
    "moving.export_files": "moving/test_export.py",
    "moving.export_parquet": "moving/test_export.py",
    "moving.materialize": "making/test_in_place.py",
    "moving.outdated": "moving/test_forget.py",
    "moving.view_file": "moving/test_cite.py",
    "orchestration.annotated": "orchestration/test_dagster_inputs.py",
    "orchestration.events": "orchestration/test_io_manager.py",
    "orchestration.handover": "orchestration/test_assets.py",
    "orchestration.one_raw_asset": "orchestration/test_raw_assets.py",
    "orchestration.remote": "orchestration/test_remote_assets.py",
    "orchestration.retries": "orchestration/test_faults.py",
    "orchestration.strict_model": "orchestration/test_component.py",
    "orchestration.webserver": "orchestration/test_instance.py",
    "reading.convert.huggingface": "reading/convert/test_converters.py",
    "reading.convert.numpy": "reading/convert/test_converters.py",
    "reading.convert.pandas": "reading/convert/test_converters.py",
    "reading.convert.sklearn": "reading/convert/test_converters.py",
    "reading.convert.tables": "reading/convert/test_converters.py",
    "reading.convert.tensors": "reading/convert/test_torch.py",
    "reading.convert.torch_datasets": "reading/convert/test_torch.py",
    "reading.convert.torch_turns": "loader/test_epochs.py",
    "reading.learnt": "making/test_in_place.py",
    "reading.views.bounds": "reading/views/test_document.py",
    "reading.views.columns_whole": "reading/views/test_document.py",
    "reading.views.targets": "reading/views/test_target_stacks.py",
    "retrieval.bounds": "retrieval/test_retrieval.py",
    "retrieval.bucket": "retrieval/test_bucket_objects.py",
    "retrieval.http_coding": "retrieval/test_retrieval.py",
    "retrieval.http_status": "retrieval/test_retrieval.py",
    "retrieval.listed_tar": "retrieval/test_hub.py",
    "retrieval.local": "retrieval/test_retrieval.py",
    "retrieval.local_file": "retrieval/test_retrieval.py",
    "retrieval.package": "retrieval/test_retrieval.py",
    "sources.archives": "sources/test_archive_sources.py",
    "sources.arrays": "sources/test_infer.py",
    "sources.columns": "sources/test_list_columns.py",
    "sources.dataset_card": "sources/test_source_listing.py",
    "sources.dividing": "sources/test_targets.py",
    "sources.folders": "sources/test_infer.py",
    "sources.in_memory": "sources/test_infer.py",
    "sources.in_place": "making/test_in_place.py",
    "sources.inside_archives": "sources/test_croissant_file.py",
    "sources.listing": "sources/test_source_listing.py",
    "sources.literal": "sources/test_written.py",
    "sources.parts": "sources/test_infer.py",
    "storage.connectors.bucket.answers": "storage/connectors/test_error_codes.py",
    "storage.connectors.bucket.client": "storage/connectors/test_bucket.py",
    "storage.connectors.bucket.fork_server": "storage/connectors/test_fork.py",
    "storage.connectors.bucket.objects": "retrieval/test_bucket_objects.py",
    "storage.connectors.bucket.reader": "storage/connectors/test_reader.py",
    "storage.connectors.mongodb_client": "storage/connectors/test_mongodb.py",
    "storage.connectors.postgres": "storage/connectors/test_sql.py",
    "storage.connectors.sql_base": "storage/connectors/test_sql.py",
    "storage.connectors.watchdog": "storage/connectors/test_waiting.py",
    "storage.links": "moving/test_rm.py",
    "storage.outcome": "storage/connectors/test_lost_answers.py",
    "storage.outside": "making/test_in_place.py",
    "storage.patience": "storage/connectors/test_waiting.py",
    "storage.placed": "making/test_in_place.py",
    "storage.variants": "acceptance/test_datamaestro.py",
}


def lint_imports(folder: Path) -> dict[str, bool]:
    """Return whether each contract is kept by the package in a folder."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-logo", "--no-cache"], cwd=folder, capture_output=True, text=True)
    words = [line.rstrip(")").partition(" (")[0].rpartition(" ") for line in done.stdout.splitlines()]
    found = {name: verdict == "KEPT" for name, _, verdict in words if verdict in ("KEPT", "BROKEN")}
    assert done.returncode == (not all(found.values())), done.stdout + done.stderr
    return found


def test_all_contracts_are_kept() -> None:
    assert lint_imports(ROOT) == dict.fromkeys(FORBIDDEN, True)


def test_each_contract_is_broken_by_a_line_that_it_forbids(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for file, line in FORBIDDEN.values():
        with open(tmp_path / PACKAGE.name / file, "a") as module:
            module.write(f"\n{line}\n")
    assert lint_imports(tmp_path) == dict.fromkeys(FORBIDDEN, False)


def test_the_graph_names_every_room() -> None:
    found = rooms.rooms()
    assert {room.name for room in found} == {path.stem for path in PACKAGE.iterdir() if is_room(path)}
    assert len(list(rooms.printed(found))) == 1 + len(found) + 3


def is_room(path: Path) -> bool:
    return (path / "__init__.py").exists() or path.name == "errors.py"


def test_the_graph_finds_a_circle() -> None:
    found = [rooms.Room(1, "a", (), ("b",)), rooms.Room(1, "b", (), ("c",)), rooms.Room(1, "c", (), ("a",))]
    assert sorted(rooms.circle(found)[1:]) == ["a", "b", "c"]


def test_only_rooms_lie_at_the_root_of_the_package() -> None:
    assert {path.name for path in PACKAGE.iterdir() if path.is_file()} == {
        "__init__.py", "__main__.py", "errors.py", "py.typed",
    }  # fmt: skip


def test_each_name_of_the_face_is_where_it_says() -> None:
    import dataset_assets

    assert set(dataset_assets.__all__) <= set(dir(dataset_assets))
    for name in dataset_assets.__all__:
        assert getattr(dataset_assets, name).__name__ == name
    stated = {alias.asname for node in ast.walk(tree(PACKAGE / "__init__.py")) for alias in aliases(node)}
    assert stated - {None} == set(dataset_assets.__all__), "type checkers see other names than Python"


def aliases(node: ast.AST) -> list[ast.alias]:
    return node.names if isinstance(node, ast.ImportFrom) else []


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def in_fresh_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_face_brings_nothing_heavy_and_starts_no_thread() -> None:
    code = (
        "import sys, threading, dataset_assets; "
        f"print([m for m in {HEAVY!r} if m in sys.modules], threading.active_count(), 'numpy' in sys.modules)"
    )
    assert in_fresh_process(code) == "[] 1 False"


@pytest.mark.parametrize(
    "code",
    [
        "from dataset_assets import load, View; import dataset_assets.reading.views",
        "import dataset_assets.datasets.mnist",
    ],
    ids=["training", "a definition"],
)
def test_what_is_imported_first_brings_nothing_heavy(code: str) -> None:
    assert in_fresh_process(f"import sys; {code}; print([m for m in {HEAVY!r} if m in sys.modules])") == "[]"


def three_numbers() -> Iterator[dict[str, int]]:
    yield from ({"x": n} for n in range(3))


def test_a_first_sample_brings_no_kind_of_view_format_or_encoder_that_it_does_not_use(tmp_path: Path) -> None:
    code = (
        "import sys; from dataset_assets import load\n"
        f"load('org.example.numbers', 'all', storage={str(tmp_path)!r})[0]\n"
        "ours = [m.removeprefix('dataset_assets.') for m in sys.modules if m.startswith('dataset_assets.')]\n"
        "parts = [m for m in ours if m.startswith(('encoding', 'reading.convert', 'reading.views.', 'formats.'))]\n"
        "slow = ('importlib.metadata', 'email', 'numpy.random', 'difflib', 'concurrent.futures', 'wave', 'decimal')\n"
        "print(*sorted(parts), *[m for m in slow if m in sys.modules])"
    )
    numbers = Dataset("org.example.numbers", "Numbers.", {"x": Array()}, {"all": Split(three_numbers)})
    prepare(numbers, storage=tmp_path.as_uri())
    views = {"blocks", "bounds", "document", "node", "operations", "report", "rows", "stored", "view"}
    formats = {"adjoined", "array", "arrow", "canonical", "columns", "decoded", "dtypes", "format", "ipc", "maps"}
    formats |= {"npy", "ranged", "rows", "spans"}
    needed = {f"reading.views.{name}" for name in views} | {f"formats.{name}" for name in formats}
    assert {*in_fresh_process(code).split()} <= needed


def test_no_file_of_the_dagster_room_defers_annotations() -> None:
    for path in (PACKAGE / "orchestration").glob("*.py"):
        assert "from __future__ import annotations" not in path.read_text(), path


def test_each_module_is_imported_by_a_test_or_has_its_test_file() -> None:
    modules = {module_of(path): path for path in PACKAGE.rglob("*.py") if has_code(path)}
    tested = {name for name, path in modules.items() if has_test_file(path)} | imported_by_tests()
    # Tests of definitions find them in the registry.
    others = {name for name in modules.keys() - tested if not name.startswith("dataset_assets.datasets.")}
    assert {name.removeprefix("dataset_assets.") for name in others} == set(THROUGH)


def test_each_module_that_is_tested_through_a_door_says_where() -> None:
    assert [file for file in THROUGH.values() if not (TESTS / file).exists()] == []


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def has_code(path: Path) -> bool:
    return any(not isinstance(node, ast.Expr) for node in tree(path).body)


def has_test_file(path: Path) -> bool:
    return (TESTS / path.relative_to(PACKAGE)).with_name(f"test_{path.stem}.py").exists()


def imported_by_tests() -> set[str]:
    """Return the modules that tests import, and those that the doors they import take their names from."""
    from dataset_assets import _FACE

    found = {name for path in TESTS.rglob("*.py") for name in imports_of(path)}
    found |= {name.rpartition(".")[0] for name in found}
    found |= {f"dataset_assets.{module}" for name, module in _FACE.items() if f"dataset_assets.{name}" in found}
    doors = [path for path in PACKAGE.glob("*/**/__init__.py") if module_of(path) in found]
    return found | {name for path in doors for name in imports_of(path)}


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))

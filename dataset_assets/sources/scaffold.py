"""The files that `dataset-assets new --from` writes: what was inferred of a source, as Python, and its test."""

from pathlib import Path
from typing import Any, Mapping

from dataset_assets.core.names import check_dataset_name
from dataset_assets.definition.scaffold import module_name, place_of, write_new
from dataset_assets.sources.infer import dataset_of, inferred
from dataset_assets.sources.written import source_of

TEST = '''\
"""{name} can be made of what was looked at."""

from dataset_assets import prepare
from {place} import {module}


def test_every_split_has_samples(tmp_path):
    views = prepare({module}, storage=tmp_path.as_uri())
    assert {{split: bool(len(view)) for split, view in views.items()}} == dict.fromkeys({splits}, True)
'''


def scaffold_from(
    source: str,
    name: str,
    folder: Path,
    target: str | None = None,
    splits: Mapping[str, float] | None = None,
    **more: Any,
) -> list[Path]:
    """Write the definition of a source, and its test. Return their paths, the test last. Raises `Conflict`.

    `more` are further arguments of `dataset_from`, such as `group_by`.
    """
    name, found = check_dataset_name(name), inferred(source, target, splits, **more)
    dataset = dataset_of(found, source, name=name)
    module = module_name(name)
    values = {"name": name, "module": module, "place": place_of(folder, module), "splits": sorted(dataset.splits)}
    return write_new(
        {
            folder / f"{module}.py": source_of(dataset, found.why, module),
            folder / f"test_{module}.py": TEST.format(**values),
        }
    )

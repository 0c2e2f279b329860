"""The splits that a dataset of the Hugging Face Hub names itself, in the YAML at the head of its README.md."""

import re
from typing import Any, Iterator

from dataset_assets.core.names import identifier_from
from dataset_assets.core.patterns import matcher
from dataset_assets.core.scratch import scratch_folder
from dataset_assets.core.settings import settings
from dataset_assets.core.yaml_text import NotYaml, read_yaml
from dataset_assets.errors import UsageError, nearest
from dataset_assets.retrieval import fetch_first
from dataset_assets.retrieval.listed import Listed

_HEAD = re.compile(rb"\s*---[ \t]*\r?\n(.*?\n)---[ \t]*(\r?\n|\Z)", re.DOTALL)


def configured(found: list[Listed], config: str | None) -> dict[str, list[Listed]] | None:
    """Return the files of each split of a configuration; None if the README has none.

    Raises `UsageError` for a configuration that it does not have, and if there are several and no `config` is named.
    """
    card = next((one for one in found if one.path == "README.md"), None)
    known = {
        str(one.get("config_name", "default")): one
        for one in _configs(card)
        if "data_files" in one or "data_dir" in one
    }
    if config is not None and config not in known:
        raise UsageError(f"The dataset has no configuration {config!r}.{nearest(config, known)}")
    if not known:
        return None
    if config is None and len(known) > 1:
        chosen = [name for name, one in known.items() if one.get("default") is True or name == "default"]
        if len(chosen) != 1:
            raise UsageError(
                f"The dataset has several configurations. Choose one: config={' or '.join(map(repr, known))}."
            )
        config = chosen[0]
    name = config or next(iter(known))
    return {split: _matching(found, patterns, name) for split, patterns in _splits(known[name])}


def _configs(card: Listed | None) -> list[dict[str, Any]]:
    if card is None:
        return []
    with scratch_folder(settings().scratch) as folder:
        fetch_first([card.url], path := folder / "README.md")
        head = _HEAD.match(path.read_bytes())
    if head is None or b"configs:" not in head[1]:
        return []
    try:
        value = read_yaml(head[1]).value
    except NotYaml as error:
        raise UsageError(
            f"The head of {card.url} cannot be read: line {error.line + 1}: {error} Name its files by a pattern, such "
            f"as {card.url.removesuffix('README.md')}data/*.parquet"
        ) from error
    said = value.get("configs") if isinstance(value, dict) else None
    return [one for one in said if isinstance(one, dict)] if isinstance(said, list) else []


def _splits(config: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield each split and the patterns of its files."""
    folder = str(config["data_dir"]).strip("/") + "/" if config.get("data_dir") else ""
    said = config.get("data_files", "**")
    files = said if isinstance(said, list) else [said]
    if not any(isinstance(one, dict) for one in files):
        files = [{"split": "train", "path": files}]
    for one in files:
        paths = one.get("path") if isinstance(one, dict) else one
        patterns = [folder + str(path) for path in (paths if isinstance(paths, list) else [paths])]
        yield identifier_from(str(one.get("split", "train") if isinstance(one, dict) else "train"), "split"), patterns


def _matching(found: list[Listed], patterns: list[str], config: str) -> list[Listed]:
    chosen = {}
    for pattern in patterns:
        known = matcher(pattern)
        some = [one for one in found if known.fullmatch(one.path) or one.path.startswith(f"{pattern.rstrip('/')}/")]
        if not some:
            raise UsageError(f"The configuration {config!r} names {pattern!r:.200}, which is no file of the dataset.")
        chosen.update({one.path: one for one in some})
    return [chosen[path] for path in sorted(chosen)]

"""Translation: how a project changes the specs of our assets: groups, owners, tags, automation, descriptions, keys."""

from typing import Any, Callable, Iterable, Mapping

import dagster as dg

from dataset_assets.errors import UsageError
from dataset_assets.orchestration import keys

Translation = Callable[[dg.AssetSpec], dg.AssetSpec]


class Translated:
    """The specs as a project wants them; each is asked for once, before its asset is made."""

    def __init__(self, translation: Translation) -> None:
        self.translation = translation
        self._known: dict[dg.AssetKey, dg.AssetSpec] = {}

    def of(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Return the translated spec. Raises `UsageError` if it is no spec."""
        if spec.key not in self._known:
            self._known[spec.key] = _checked(self.translation, spec)
        return self._known[spec.key]

    def with_deps(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Return the spec with the dependencies that were added: Dagster 1.11 adds none to an asset with inputs."""
        before = {dep.asset_key for dep in spec.deps}
        added = [dep for dep in self.of(spec).deps if dep.asset_key not in before]
        return spec.replace_attributes(deps=[*spec.deps, *added]) if added else spec


def translated(assets: Iterable[Any], translation: Translated | None) -> tuple[list[Any], Mapping[dg.AssetKey, Any]]:
    """Return assets with their specs as a project wants them, and the new key of each key that it changed.

    What our own functions read in metadata and tags stays. Observed sources stay as they are.
    """
    found = [*assets]
    if translation is None:
        return found, {}
    specs = {spec.key: translation.of(spec) for asset in found for spec in _specs(asset)}
    renamed = {key: spec.key for key, spec in specs.items() if spec.key != key}
    # Functions name their outputs, not keys, so they work under any key.
    new = {spec.key: spec for spec in specs.values()}
    if len(new) < len(specs):
        raise UsageError("The translation gives two assets the same key. Give each its own, for example by a prefix.")
    return [_replaced(asset, renamed, new) if _specs(asset) else asset for asset in found], renamed


def of_attributes(attributes: Mapping[str, Any]) -> Translation:
    """Return a translation that sets attributes of specs; `key_prefix` is put before the key, and tags are added."""
    more = {name: value for name, value in attributes.items() if name not in ("key_prefix", "tags")}

    def translate(spec: dg.AssetSpec) -> dg.AssetSpec:
        prefix = attributes.get("key_prefix", [])
        key = spec.key.with_prefix(prefix) if prefix else spec.key
        return spec.replace_attributes(key=key, tags={**spec.tags, **attributes.get("tags", {})}, **more)

    return translate


def _specs(asset: Any) -> list[dg.AssetSpec]:
    return [*asset.specs] if isinstance(asset, dg.AssetsDefinition) else []


def _checked(translation: Translation, spec: dg.AssetSpec) -> dg.AssetSpec:
    """Return the translated spec, with what our own functions read in it. Raises `UsageError` if it is no spec."""
    given = translation(spec)
    if not isinstance(given, dg.AssetSpec):
        raise UsageError(
            f"The translation of {spec.key.to_user_string()} is {given!r:.80}. Return an AssetSpec, as from "
            "spec.replace_attributes(group_name=...)."
        )
    ours = {name: value for name, value in spec.metadata.items() if name.startswith(keys.PREFIXES)}
    tags = {keys.REFRESH: spec.tags[keys.REFRESH]} if keys.REFRESH in spec.tags else {}
    return given.merge_attributes(metadata=ours, tags=tags)


def _replaced(
    asset: dg.AssetsDefinition, renamed: Mapping[dg.AssetKey, dg.AssetKey], new: Mapping[dg.AssetKey, dg.AssetSpec]
) -> dg.AssetsDefinition:
    found = asset.with_attributes(asset_key_replacements=renamed) if renamed else asset

    def with_deps(spec: dg.AssetSpec) -> dg.AssetSpec:
        given, before = new[spec.key], {dep.asset_key for dep in spec.deps}
        added = [dep for dep in given.deps if renamed.get(dep.asset_key, dep.asset_key) not in before]
        return given.replace_attributes(deps=[*spec.deps, *added])

    return found.map_asset_specs(with_deps)

"""Models of a component's attributes in which the tools of Dagster name the very key and line of a mistake."""

from typing import Any

from pydantic import BaseModel, create_model


def strict(derived: type[BaseModel], **kinds: Any) -> type[BaseModel]:
    """Return a model in which these fields are of one kind, and no template can take their place.

    Dagster derives a model whose every field may be a template instead. Of a field with keys of its own, its check of
    YAML then says only that neither fits.
    """
    fields: dict[str, Any] = {name: (kind, derived.model_fields[name].default) for name, kind in kinds.items()}
    return create_model(derived.__name__, __base__=derived, **fields)

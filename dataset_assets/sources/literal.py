"""Plain values as a person writes them in Python, with double quotes."""

from typing import Any, Mapping


def literal(value: Any) -> str:
    """Return a plain value as Python.

    >>> print(literal({"a": ["b", 1]}))
    {"a": ["b", 1]}
    """
    if isinstance(value, str):
        quoted = repr(value)
        return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in quoted else quoted
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{literal(key)}: {literal(each)}' for key, each in value.items())}}}"
    if isinstance(value, (list, tuple)):
        inside = ", ".join(map(literal, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    return repr(value)

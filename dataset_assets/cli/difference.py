"""The result of `diff` as text for a terminal."""

from typing import Any, Iterator, Mapping

from dataset_assets.core.escape import in_line

Document = Mapping[str, Any]

SHOWN = 12
FACTS = ("min", "max", "mean", "std", "not_finite")


def difference(document: Document) -> str:
    """Format what differs: a line for each split, and below it what differs in it."""
    lines = [f"{document['a']} -> {document['b']}{': no difference' if document['equal'] else ''}"]
    for split, found in document["splits"].items():
        lines += [f"{split:<12} {_counts(found)}", *(f"  {line}" for line in _details(found))]
    for word in ("added", "removed"):
        lines += [f"{split:<12} {word}, {samples} samples" for split, samples in document[word].items()]
    return "\n".join(map(in_line, lines))


def _counts(found: Document) -> str:
    before, after = found["samples"]
    counts = found["contents"]
    inside = ", ".join(f"{stream} in {count}" for stream, count in counts["streams"].items())
    by = f" of the same {counts['by']}{f': {inside}' if inside else ''}" if counts["changed"] else ""
    parts = f"{counts['added']} added, {counts['removed']} removed, {counts['changed']} changed{by}"
    return f"{before} -> {after} samples: {counts['same']} the same, {parts}"


def _details(found: Document) -> Iterator[str]:
    streams = found["streams"]
    for word in ("added", "removed"):
        yield from (f"stream {name} {word}: {kind}" for name, kind in streams[word].items())
    yield from (f"stream {name}: {old} -> {new}" for name, (old, new) in streams["changed"].items())
    for word in ("added", "removed", "changed"):
        rows = found["contents"]["examples"].get(word) or ()
        shown = ", ".join("-".join(map(str, row)) if isinstance(row, list) else str(row) for row in rows)
        if rows:
            yield f"{word}: {'rows of both' if word == 'changed' else 'rows'} {shown}{', ...' if len(rows) > 9 else ''}"
    for stream, counts in found["classes"].items():
        moved = [f"{name} {old} -> {new}" for name, (old, new) in counts.items() if old != new]
        if moved:
            yield f"classes of {stream}: {', '.join(moved[:SHOWN])}{', ...' if len(moved) > SHOWN else ''}"
    for name, sides in found["numbers"].items():
        facts = [_fact(fact, sides) for fact in FACTS if sides["a"][fact] != sides["b"][fact]]
        if facts:
            yield f"numbers of {name}: {', '.join(facts)}"


def _fact(fact: str, sides: Document) -> str:
    old, new = ("none" if side[fact] is None else f"{side[fact]:.6g}" for side in (sides["a"], sides["b"]))
    return f"{fact.replace('_', ' ')} {old} -> {new}"

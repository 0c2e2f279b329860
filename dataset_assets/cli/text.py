"""Documents and samples as text for a terminal."""

from numbers import Integral
from typing import Any, Iterator, Mapping, Sequence

from dataset_assets.core.commands import command
from dataset_assets.core.escape import in_line
from dataset_assets.core.redact import printable

Document = Mapping[str, Any]

LONGEST = 110
PICTURE = 56
VALUES_SHOWN = 50
SHADES = " .:-=+*#%@"


def size(count: int | None) -> str:
    """Return a number of bytes in a readable unit.

    >>> size(3_925_512), size(None)
    ('3.9 MB', '?')
    """
    if count is None:
        return "?"
    shown, units = float(count), iter(("B", "kB", "MB", "GB"))
    for unit in units:
        if shown < 999.95:
            return f"{shown:.0f} {unit}" if unit == "B" else f"{shown:.1f} {unit}"
        shown /= 1000
    return f"{shown:.1f} TB"


def info(document: Document) -> str:
    """Format the result of `describe.describe`."""
    lines = [f"{document['name']}  {document['summary']}", "", *_facts(document), "", *_parts(document)]
    return "\n".join(map(in_line, lines))


def family(document: Document) -> str:
    """Format the result of `describe.describe_family`."""
    from dataset_assets.definition.family import MOST_LISTED

    lines = [f"{document['name']}  {document['summary']}", "", "axes"]
    for name, axis in document["axes"].items():
        known = axis["values"] or ["any value"]
        values = ", ".join([*known[:VALUES_SHOWN], *(["..."] if len(known) > VALUES_SHOWN else [])])
        default = "" if axis["default"] is None else f"  default {axis['default']}"
        lines.append(f"  {name:<12} {axis['type']:<6} {values}{default}{'' if axis['identity'] else '  not identity'}")
    count, shown = document["count"], document["members"]
    lines.append(f"members    {'cannot be listed' if count is None else count}")
    lines += [f"  {name}" for name in shown]
    if count and count > len(shown):
        how = f": dataset-assets search '{document['name']}[*]'" if count <= MOST_LISTED else ""
        lines.append(f"  and {count - len(shown)} more{how}")
    return "\n".join(map(in_line, [*lines, f"example    {document['example']}"]))


def _facts(document: Document) -> Iterator[str]:
    for label in ("license", "homepage", "citation", "refresh"):
        if document[label]:
            yield f"{label:<10} {document[label]}"
    for label in ("aliases", "tags", "tasks"):
        if document[label]:
            yield f"{label:<10} {', '.join(document[label])}"
    if document["terms"]:
        yield f"terms      {'accepted' if document['terms_accepted'] else 'not accepted'}:"
        yield from (f"  {line}".rstrip() for line in document["terms"].strip().splitlines())
    if document["verified"] is False:
        yield "note       unverified: this definition was never run on the publisher's files, only on generated ones"


def _parts(document: Document) -> Iterator[str]:
    yield "streams"
    for stream, kind in document["streams"].items():
        roles = ", ".join(role for role, at in document["roles"].items() if at == stream)
        yield f"  {stream:<12} {kind['format']:<8} {roles:<8} {_classes(kind.get('classes') or ())}".rstrip()
    yield "files"
    for name, file in document["files"].items():
        yield f"  {name:<30} {file['state']:<9} {size(file['bytes']):>9}  {file['urls'][0]}"
    yield "splits"
    for split, made in document["splits"].items():
        sources = ", ".join(document["made_of"].get(split, ()))
        yield f"  {split:<12} {_split(made)}{f'  of {sources}' if sources else ''}"
    shown = document["problem"] or document["version"] or "not prepared"
    yield f"version    {shown}"
    yield f"storage    {document['storage']}"


def _classes(classes: Sequence[str]) -> str:
    if not classes:
        return ""
    return f"{len(classes)} classes: {', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}"


def _split(made: Document | None) -> str:
    return f"{made['samples']:>9} samples {size(made['bytes']):>9}  {made['digest'][:12]}" if made else "not prepared"


def stored(document: Document) -> str:
    """Format a stored dataset as one line."""
    if document["problem"]:
        return in_line(f"{document['name']:<34} {document['problem']}")
    counted = f"{document['samples']:>9} samples {size(document['bytes']):>9}"
    also = f"  also {', '.join(aliases)}" if (aliases := document.get("aliases")) else ""
    return f"{document['name']:<34} {document['version'][:12]} {counted}{also}"


def version(document: Document) -> str:
    """Format a version as one line: its state, and why it was refused."""
    failed = [finding["message"] for finding in document.get("findings", ()) if _refused(finding)]
    state = "current" if document["current"] else "damaged" if document["problem"] else "refused" if failed else "kept"
    return f"{document['version']} {state:<8} {document['problem'] or ' '.join(failed)}".rstrip()


def usage(documents: Sequence[Document]) -> str:
    """Format the result of `usage.usage`: a line for each dataset and version, and the sum."""
    columns = ("bytes", "streams", "raw", "documents", "shared", "free")
    lines = [f"{'':<34}" + "".join(f"{column:>10}" for column in columns)]
    for document in documents:
        lines.append(f"{document['dataset']:<34}" + "".join(f"{size(document[column]):>10}" for column in columns))
        for one in document["versions"]:
            note = one["problem"] or f"{size(one['own'])} of its own{', current' if one['current'] else ''}"
            lines.append(f"  {one['version'][:12]:<32}{size(one['bytes']):>10}  {note}")
    sums = [sum(document[column] for document in documents) for column in columns]
    return "\n".join(map(in_line, [*lines, f"{'all':<34}" + "".join(f"{size(total):>10}" for total in sums)]))


def plan(document: Document) -> str:
    """Format the result of `Plan.to_dict`: the files and splits that are missing, the disk, the time and the terms."""
    files, splits = document["files"], document["splits"]
    lines = [f"retrieve  {len(files)} files, {size(document['bytes'])}{_unknown(files)}"]
    lines += [f"  {size(file['bytes']):>9}  {file['url']}{'' if file['keep'] else '  not kept'}" for file in files]
    if document["asked"]:
        lines.append(f"ask       {document['asked']} sources whether they changed")
    lines.append(f"make      {len(splits)} splits{': ' * bool(splits)}{', '.join(splits)}")
    lines += [
        f"disk      at least {size(disk['bytes'])} of {size(disk['free'])} free in {disk['folder']}"
        for disk in document["disks"]
    ]
    if document["rate"]:
        lines.append(
            f"time      about {document['seconds']:,.0f} s to retrieve, at {size(int(document['rate']))}/s now"
        )
    for name in document["terms"]:
        accept = command(f"prepare --accept-terms {name}", document["storage"])
        lines.append(f"terms     not accepted; accept them with: {accept}")
    return "\n".join(map(in_line, lines))


def _unknown(files: Sequence[Document]) -> str:
    count = sum(file["bytes"] is None for file in files)
    return f" and {count} of unknown size" if count else ""


def _refused(finding: Document) -> bool:
    return not finding["passed"] and finding["severity"] == "error"


def samples(
    some: Mapping[str, Mapping[str, Any]],
    notes: Mapping[str, Mapping[str, str]] | None = None,
    classes: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Format samples under their names, with notes on their values; pictures are drawn."""
    lines = []
    for place, sample in some.items():
        words = (notes or {}).get(place, {})
        lines.append(in_line(place))
        for stream, value in sample.items():
            shown = _value(value, (classes or {}).get(stream, ()))
            line = " ".join(filter(None, [f"  {in_line(stream)}:", _short(words.get(stream, "")), shown]))
            lines.append(line.replace(" \n", "\n"))
    return "\n".join(lines)


def _value(value: Any, classes: Sequence[str] = ()) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return _short(", ".join(f"{name} {item}" for name, item in value.items()))
    if isinstance(value, Integral) and 0 <= int(value) < len(classes) and classes[int(value)] != str(value):
        return _short(f"{value} {classes[int(value)]}")
    if getattr(value, "ndim", 0) == 3 and value.dtype.kind == "u" and value.shape[2] in (1, 3, 4):
        value = value[..., :3].mean(2)
    if getattr(value, "ndim", 0) == 2 and value.dtype.kind in "uif" and min(value.shape) > 3:
        return _picture(value)
    if getattr(value, "ndim", 0) > 0:
        return f"{value.dtype} {'x'.join(map(str, value.shape))}: {_short(value.ravel()[:8].tolist())}"
    return f"{len(value)} bytes" if isinstance(value, bytes) else _short(value)


def _short(value: Any) -> str:
    """Return a value of a dataset as short text without control characters."""
    text = printable(" ".join(str(value).split()))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _picture(value: Any) -> str:
    """Draw a grey picture with characters, which are twice as high as wide."""
    step = -(-max(value.shape) // PICTURE)
    rows = value[:: 2 * step, ::step].astype(float)
    low, high = float(rows.min()), float(rows.max())
    scaled = (rows - low) / (high - low or 1) * (len(SHADES) - 1)
    lines = ["    " + "".join(SHADES[int(shade)] for shade in row) for row in scaled]
    # Leave out empty margins; those of digits are wide.
    drawn = [k for k, line in enumerate(lines) if line.strip()] or [0]
    return "\n" + "\n".join(line.rstrip() for line in lines[drawn[0] : drawn[-1] + 1])

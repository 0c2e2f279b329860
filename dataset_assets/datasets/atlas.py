"""An atlas of graphs: all 1,253 graphs of up to seven nodes."""

from typing import Any, BinaryIO, Iterator

import numpy as np

from dataset_assets import Array, Dataset, Ragged, RemoteFile, Split
from dataset_assets.decoding import decompressed
from dataset_assets.errors import DecodeError


def graphs(atlas: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield each graph: how many nodes it has, and its edges as pairs of them."""
    nodes, edges = -1, list[tuple[int, int]]()
    for line in decompressed(atlas):
        word, *rest = line.split() or [b""]
        if word == b"GRAPH" and nodes >= 0:
            yield _graph(nodes, edges)
            edges = []
        elif word == b"NODES":
            nodes = int(rest[0])
        elif word.isdigit():
            edges.append((int(word), int(rest[0])))
    if nodes < 0:
        raise DecodeError("The atlas has no graph. Check what its source is.")
    yield _graph(nodes, edges)


def _graph(nodes: int, edges: list[tuple[int, int]]) -> dict[str, Any]:
    return {"nodes": nodes, "edges": np.array(edges, np.uint8).reshape(-1, 2)}


atlas = Dataset(
    name="org.networkx.atlas",
    summary="All 1,253 undirected graphs of up to seven nodes, none the same as another but for the nodes' names.",
    streams={"nodes": Array("uint8"), "edges": Ragged("uint8", (2,))},
    splits={"all": Split(graphs, atlas=RemoteFile("package://networkx/generators/atlas.dat.gz"))},
    roles={"graph": "edges"},
    license="BSD-3-Clause",  # the license of the package that has the file
    citation="R. C. Read, R. J. Wilson. An Atlas of Graphs. Oxford University Press, 1998.",
    homepage="https://networkx.org/documentation/stable/reference/generators.html#module-networkx.generators.atlas",
    tags=("graph", "mathematics"),
    tasks=("graph classification",),
)

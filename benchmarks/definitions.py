"""1,000 definitions of four files and four streams: CPU seconds and memory to build, resolve and send them.

    python benchmarks/definitions.py [--count 1000] [--raw-assets each]

After `import dagster`, which is not ours to speed up. What a code server does at its start is to build the definitions,
to resolve them, and to make the snapshot that the web UI and the daemon ask for. Goals: less than 8 CPU s in all, and
less than 250 MB.
"""

import argparse
import resource
import time


def rows(file0, file1, file2, file3):
    yield {"a": 0, "b": 1, "c": 2, "d": 3}


def dataset(k: int):
    from dataset_assets import Array, Dataset, RemoteFile, Split

    # Four raw files, four streams, their index and the release are ten assets; three checks and leakage are four.
    files = {f"file{i}": RemoteFile(f"https://example.org/{k}/{i}.csv") for i in range(4)}
    streams = {name: Array() for name in "abcd"}
    return Dataset(f"org.example.d{k}", "One of many.", streams, {"train": Split(rows, **files)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--raw-assets", default="one", choices=["one", "each"])
    given = parser.parse_args()
    import dagster  # noqa: F401
    from dagster._core.remote_representation.external_data import RepositorySnap
    from dagster_shared.serdes import serialize_value

    began = time.process_time()
    from dataset_assets.orchestration import definitions

    defined = definitions(datasets=[dataset(k) for k in range(given.count)], raw_assets=given.raw_assets)
    built = time.process_time()
    repository = defined.get_repository_def()
    graph = repository.asset_graph
    resolved = time.process_time()
    sent = serialize_value(RepositorySnap.from_def(repository))
    ended = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    assets, checks = len(graph.get_all_asset_keys()), len(graph.asset_check_keys)
    print(f"{given.count} definitions, {assets} assets, {checks} checks: built in {built - began:.2f} CPU s, ", end="")
    print(f"resolved in {resolved - built:.2f}, sent in {ended - resolved:.2f}, {ended - began:.2f} in all; ", end="")
    print(f"{len(sent) >> 20} MB sent, peak {peak} MB")


if __name__ == "__main__":
    main()

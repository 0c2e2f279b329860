"""1,000 definitions of ten assets and four checks: CPU seconds to build and resolve them, after `import dagster`.

    python benchmarks/definitions.py [--count 1000]

Goal: less than 5 CPU s.
"""

import argparse
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
    count = parser.parse_args().count
    import dagster  # noqa: F401  not ours to speed up

    began = time.process_time()
    from dataset_assets.orchestration import definitions

    defined = definitions(datasets=[dataset(k) for k in range(count)])
    built = time.process_time()
    graph = defined.resolve_asset_graph()
    defined.get_repository_def()
    resolved = time.process_time()
    assets, checks = len(graph.get_all_asset_keys()), len(graph.asset_check_keys)
    print(f"{count} definitions, {assets} assets, {checks} checks: built in {built - began:.2f} CPU s, ", end="")
    print(f"resolved in {resolved - built:.2f} CPU s, {resolved - began:.2f} in all")


if __name__ == "__main__":
    main()

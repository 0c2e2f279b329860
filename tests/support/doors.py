"""The public doors, in the order of their reference."""

DOORS = [
    "dataset_assets",
    "dataset_assets.decoding",
    "dataset_assets.encoding",
    "dataset_assets.formats",
    "dataset_assets.loader",
    "dataset_assets.storage",
    "dataset_assets.retrieval",
    "dataset_assets.testing",
    "dataset_assets.orchestration",
    "dataset_assets.errors",
]

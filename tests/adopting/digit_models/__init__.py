"""A Dagster project of its own that trains on datasets of another package."""

"""Dagster's web UI in tests: a server of its own, its GraphQL, and a browser that looks and presses."""

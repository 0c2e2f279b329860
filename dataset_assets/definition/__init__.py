"""Definitions of datasets, the registry that knows them, and search."""

"""Definitions of datasets, the registry that finds them, and search."""

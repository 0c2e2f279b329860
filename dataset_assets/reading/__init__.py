"""Reads stored datasets: load, the cache of remote files, views, and conversions from and to other libraries."""

"""Stored datasets opened: load, the cache of remote files, views."""

"""Stored datasets opened: load, the cache of remote files, views, and what other libraries take and hold."""

# Views find their kinds and conversions in tables, which these two fill.
from dataset_assets.reading import convert as convert
from dataset_assets.reading import views as views

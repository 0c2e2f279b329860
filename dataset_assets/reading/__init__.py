"""Reads stored datasets: load, the cache of remote files, views, and conversions from and to other libraries."""

# Importing these two registers the kinds of views and the conversions.
from dataset_assets.reading import convert as convert
from dataset_assets.reading import views as views

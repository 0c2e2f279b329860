"""A plugin of dataset_assets with one of each: a dataset, a format, a retriever, a storage connector, a decoder."""

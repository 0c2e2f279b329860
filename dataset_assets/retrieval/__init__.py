"""Retrieval: downloads a URL into a file with the retriever of its scheme, and tries mirrors in order."""

from dataset_assets.retrieval.mirrors import fetch_first
from dataset_assets.retrieval.retriever import RETRIEVERS, ByteProgress, Retriever, retriever_for
from dataset_assets.storage.raw_files import Source

__all__ = ["RETRIEVERS", "ByteProgress", "Retriever", "Source", "fetch_first", "retriever_for"]

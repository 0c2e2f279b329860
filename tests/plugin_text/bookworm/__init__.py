"""Datasets of text retrieval: documents, queries, and which documents answer which query."""

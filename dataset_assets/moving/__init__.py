"""Stored datasets copied, bundled, verified, measured and collected."""

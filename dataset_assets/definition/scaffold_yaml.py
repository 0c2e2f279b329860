"""The files that `dataset-assets new --yaml` writes: a definition without code, its data, its schema and its test."""

import json

from dataset_assets.definition.yaml_schema import yaml_schema

SCHEMA = "dataset.schema.json"

DEFINITION = """\
# yaml-language-server: $schema=dataset.schema.json
# Change the files, the streams and the facts below. An editor that knows YAML completes and checks them.
name: {name}
summary: One sentence that says what it holds, and how much.
kind: table
streams:
  text: text
  kind: {{format: array, dtype: uint8, classes: [a, b]}}
splits:
  # Put the publisher's https:// URL here, and its digest (sha256:..., md5:...) where one is published.
  train: {{url: {module}.csv}}
sample: text
target: kind
license: CC0-1.0
citation: Author. Title. Venue, year.
homepage: https://example.com
tags: [text]
tasks: [classification]
"""

TEST = '''\
"""{name} keeps the contract of every dataset, on a small file in the publisher's format."""

from pathlib import Path

import pytest

from dataset_assets import dataset_from_yaml
from dataset_assets.testing.datasets import DatasetTests


class Test{title}(DatasetTests):
    ends_are_seen = False  # a table of text looks whole wherever it ends; state a digest where one is published

    @pytest.fixture
    def dataset(self):
        return dataset_from_yaml(Path(__file__).with_name("{module}.yaml"))

    @pytest.fixture
    def raw_files(self):
        return {{"{module}_csv": b"text,kind\\na first sample,a\\na second one,b\\n"}}

    def test_its_files_can_be_retrieved_and_are_pinned_or_carried(self, dataset):
        """Remove this method when the file is at its publisher's URL: other machines cannot read a local file."""
'''

OFFER = """\
Make it in Python with: dataset_assets.prepare(dataset_assets.dataset_from_yaml({path!r}))
To find it by its name: export DATASET_ASSETS_DEFINITIONS={quoted}"""


def schema_text() -> str:
    """Return the schema as it is published."""
    return f"{json.dumps(yaml_schema(), indent=1)}\n"

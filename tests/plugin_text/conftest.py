"""The plugin's tests are run where it is installed, which tests/acceptance/test_plugins.py sees to."""

from importlib.metadata import PackageNotFoundError, distribution

try:
    distribution("bookworm")
    collect_ignore = []
except PackageNotFoundError:
    collect_ignore = ["tests"]

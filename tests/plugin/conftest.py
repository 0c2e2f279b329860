"""The plugin's tests are run where it is installed, which tests/test_plugins.py sees to."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("birdhouse") else ["tests"]

"""`python -m dataset_assets` is the command line."""

import os
import sys

# A process that a split function spawns imports this module too, under another name.
if __name__ == "__main__":
    # Python looks for modules in the working folder first, and its `click.py` or `dagster.py` may be a stranger's.
    ours = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    if not sys.flags.safe_path and os.path.realpath(sys.path[0]) != ours:
        del sys.path[0]

    from dataset_assets.cli.main import main

    main()

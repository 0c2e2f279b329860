"""The command line, also as `python -m dataset_assets`. It imports the rest where Ctrl-C is caught."""

import os
import sys


def main() -> None:
    """Run the command line. Ctrl-C ends it with 130, also while modules are imported."""
    try:
        from dataset_assets.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("dataset-assets: interrupted before anything was done. Run the same command again.\n")
        sys.exit(130)


# A process that a split function spawns imports this module too, under another name.
if __name__ == "__main__":
    # Python looks for modules in the working folder first, and its `click.py` or `dagster.py` may be a stranger's.
    ours = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    if not sys.flags.safe_path and os.path.realpath(sys.path[0]) != ours:
        del sys.path[0]

    main()

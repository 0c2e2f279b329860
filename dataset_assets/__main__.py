"""`python -m dataset_assets` is the command line."""

from dataset_assets.cli import main

# A process that a split function spawns imports this module too, under another name.
if __name__ == "__main__":
    main()

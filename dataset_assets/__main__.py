"""`python -m dataset_assets` is the command line."""

from dataset_assets.cli import main

main()

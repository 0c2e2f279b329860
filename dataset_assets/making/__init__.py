"""From a definition to stored splits: the one room that runs split functions."""

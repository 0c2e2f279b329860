"""What every room stands on: names, settings, files, locks, orders, progress, plugins."""

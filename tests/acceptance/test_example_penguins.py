"""The example that trains scikit-learn on an encoded table: it runs, and what it prints was measured."""

import re
import subprocess
import sys
from pathlib import Path

from places import ROOT

EXAMPLE = ROOT / "examples" / "penguins.py"


def test_the_example_learns_the_species_and_beats_what_guessing_gives(home: Path) -> None:
    found = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    numbers = re.search(r"test accuracy ([\d.]+) +\(majority class ([\d.]+); .* labels ([\d.]+)\)", found.stdout)
    assert numbers is not None, found.stdout
    accuracy, majority, chance = map(float, numbers.groups())
    assert accuracy > 0.9 and accuracy > max(majority, chance) + 0.2

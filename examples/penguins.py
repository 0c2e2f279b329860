"""Tell three species of penguins apart: a table encoded into a matrix, and scikit-learn. Prints what it measured.

python examples/penguins.py
"""

from collections import Counter

import numpy as np
from sklearn.linear_model import LogisticRegression

from dataset_assets import prepare
from dataset_assets.encoding import OneHot, Scaled

NUMBERS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")

ENCODERS = {
    # Of eleven penguins the sex was not noted, of two nothing was measured.
    "bird.island": OneHot(),
    "bird.sex": OneHot(missing="category"),
    **{f"bird.{name}": Scaled(missing="fill") for name in NUMBERS},
}


def main() -> int:
    """Train on four fifths, measure on the rest, and compare with what guessing would give."""
    penguins = prepare("io.github.allisonhorst.penguins")["all"]
    train, test = penguins.stratified_split((0.8, 0.2), seed=0)

    fitted = train.fit_encoders(ENCODERS)
    x, y = train.encode(fitted).to_sklearn()
    held_out_x, held_out_y = test.encode(fitted).to_sklearn()
    accuracy = LogisticRegression(max_iter=1000).fit(x, y).score(held_out_x, held_out_y)

    shuffled = np.random.default_rng(0).permutation(y)
    chance = LogisticRegression(max_iter=1000).fit(x, shuffled).score(held_out_x, held_out_y)
    majority = (held_out_y == Counter(y.tolist()).most_common(1)[0][0]).mean()
    print(f"{len(train)} penguins to train on, {len(test)} to test on, {x.shape[1]} columns")
    print(f"test accuracy {accuracy:.2f}   (majority class {majority:.2f}; trained on shuffled labels {chance:.2f})")
    return 0 if accuracy > 0.9 and accuracy > chance + 0.2 else 1


if __name__ == "__main__":
    raise SystemExit(main())

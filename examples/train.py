"""Training code: a small torch model on a stored dataset. No Dagster, no downloads; it opens what is there.

python examples/train.py io.github.rasbt.mnist_5k --picture digits.png
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from dataset_assets import View, load

EPOCHS, BATCH = 12, 64


def pixels(batch: dict) -> torch.Tensor:
    """Return a batch's images as floats of about zero mean."""
    return torch.from_numpy(batch["image"]).float().flatten(1) / 127.5 - 1


def train(view: View, seed: int, labels: np.ndarray | None = None) -> torch.nn.Module:
    """Train on a view's samples; `labels` replaces its own."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(256, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(EPOCHS):
        order = np.random.default_rng([seed, epoch]).permutation(len(view))
        for k, batch in enumerate(view.select(order).batch(BATCH)):
            wanted = batch["label"] if labels is None else labels[order[k * BATCH : (k + 1) * BATCH]]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(pixels(batch)), torch.from_numpy(wanted).long()).backward()
            optimizer.step()
    return model.eval()


@torch.no_grad()
def predict(model: torch.nn.Module, view: View) -> np.ndarray:
    """Return the class the model gives each sample."""
    return np.concatenate([model(pixels(batch)).argmax(1).numpy() for batch in view.batch(256)])


def draw(view: View, predictions: np.ndarray, path: Path) -> None:
    """Write a sheet of samples, each under its prediction; wrong ones are red."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    wrong = np.flatnonzero(predictions != view.to_numpy()["label"])[:8]
    chosen = [*range(0, len(view), max(1, len(view) // 24)), *wrong.tolist()][:32]
    figure, axes = pyplot.subplots(4, 8, figsize=(8, 4.6))
    for axis in axes.flat:
        axis.axis("off")
    for axis, i in zip(axes.flat, chosen, strict=False):
        image, label = view.tuples("image", "label")[i]
        axis.imshow(image, cmap="gray_r")
        axis.set_title(f"{predictions[i]}", color="black" if predictions[i] == label else "crimson", fontsize=11)
    figure.suptitle(f"{view.dataset}, split {view.split}: predictions (wrong ones in red)", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()

    # So small a model gains nothing by more, and where the cores are busy its threads wait for each other.
    torch.set_num_threads(1)
    splits = load(arguments.dataset)
    fit, test = splits["train"], splits["test"]
    truth, known = test.to_numpy()["label"], fit.to_numpy()["label"]
    model = train(fit, seed=0)
    predictions = predict(model, test)
    accuracy = float((predictions == truth).mean())
    majority = float((truth == Counter(known.tolist()).most_common(1)[0][0]).mean())
    shuffled = train(fit, seed=0, labels=np.random.default_rng(0).permutation(known))
    chance = float((predict(shuffled, test) == truth).mean())
    print(f"{fit.dataset}@{fit.version}: {len(fit)} samples to train on, {len(test)} to test on")
    print(f"test accuracy {accuracy:.2f}   (majority class {majority:.2f}; trained on shuffled labels {chance:.2f})")
    if arguments.picture:
        draw(test, predictions, arguments.picture)
        print(f"picture       {arguments.picture}")
    if "dagster" in sys.modules:
        print("dagster was imported by training code, which must not happen")
        return 1
    return 0 if accuracy >= 0.9 and chance < 0.25 else 1


if __name__ == "__main__":
    sys.exit(main())

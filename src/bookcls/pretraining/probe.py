"""How useful each depth of some weights is for photos: a linear probe per block.

Plain photos like the training ones are too easy to tell depths apart (random features get 0.97 of
the sample's right), so photos are shown in views: any rotation, half to one and a half the size.

``python -m bookcls.pretraining.probe --weights FILE --logs RUN/logs/version_0 --picture OUT.png``
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from bookcls.config import project_path
from bookcls.data.dataset import read_folder
from bookcls.data.photos import decode_folder
from bookcls.data.transforms import Transform
from bookcls.errors import BookclsError
from bookcls.models.layers import POOL_INDEX
from bookcls.models.vgg16 import VGG16
from bookcls.models.weights import MEAN, STD, find_weights

FOLDS, REPEATS, VIEWS = 5, 4, 8
STRONG = Transform(MEAN, STD, rotate=180.0, zoom=0.5)
Floats = npt.NDArray[np.float64]


def block_features(state: dict[str, Tensor], images: Tensor) -> list[Floats]:
    """What each block says of some images.

    Args:
        state: State dict of VGG16's features.
        images: Normalised, float32 (N, 3, S, S).

    Returns:
        Per block its pooled output, averaged over the places: (N, channels).
    """
    features: nn.Sequential = make_layers(cfgs["D"])
    features.load_state_dict(state)
    rows: list[Floats] = []
    with torch.no_grad():
        for index, layer in enumerate(features.eval()):
            images = layer(images)
            if index in POOL_INDEX.values():
                rows.append(images.mean(dim=(2, 3)).double().numpy())
    return rows


def probe(rows: Floats, labels: Sequence[int]) -> Floats:
    """Accuracy of a logistic regression on standardised features, by cross-validation.

    Args:
        rows: Features (VIEWS * N, C), view by view.
        labels: Class of each of the N photos.

    Returns:
        (REPEATS,): accuracy on the views of held-out photos in each repeat of stratified
        FOLDS-fold cross-validation; all views of a photo are on one side.
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=3000))
    plan = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=0)
    photos, answers = np.arange(len(labels)), np.tile(labels, VIEWS)
    folds = [
        tuple(np.concatenate([part + view * len(labels) for view in range(VIEWS)]) for part in fold)
        for fold in plan.split(photos, labels)
    ]
    scores = cross_val_score(model, rows, answers, cv=folds)
    means: Floats = np.asarray(scores).reshape(REPEATS, FOLDS).mean(axis=1)
    return means


def read_curves(logs: Path) -> dict[str, Floats]:
    """Columns of the csv that pretraining logs, (step, value) per row where there is a value."""
    with (logs / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = ("train/loss_epoch", "val/loss", "val/acc")
    return {
        name: np.array([(float(r["step"]), float(r[name])) for r in rows if r[name]])
        for name in names
    }


def plot(columns: dict[str, Floats], probes: dict[str, list[Floats]]) -> Figure:
    """Loss and accuracy over the steps beside the probes of the blocks."""
    figure = Figure(figsize=(9.6, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, colour in (("train/loss_epoch", "#9aa5b1"), ("val/loss", "#1f4e79")):
        left.plot(*columns[name].T, color=colour, label=name.removesuffix("_epoch"))
    left.set(xlabel="step", ylabel="cross-entropy", title="Pretraining")
    twin = left.twinx()
    twin.plot(*columns["val/acc"].T, color="#c8553d", label="val/acc")
    twin.set(ylabel="held-out scenes right", ylim=(0, 1))
    handles = [*left.get_lines(), *twin.get_lines()]
    left.legend(handles=handles, loc="center right", frameon=False)
    for (name, blocks), colour, marker in zip(
        probes.items(), ("#1f4e79", "#9aa5b1"), ("o", "s"), strict=False
    ):
        places = np.arange(1, len(blocks) + 1)
        right.plot(places, [b.mean() for b in blocks], color=colour, marker=marker, label=name)
        for place, block in zip(places, blocks, strict=True):
            right.plot([place] * len(block), block, ".", color=colour, alpha=0.35)
    right.set(
        xlabel="block",
        ylabel="accuracy",
        ylim=(0.4, 1),
        title="Linear probe, held-out photos",
    )
    right.set_xticks(range(1, 6))
    right.legend(frameon=False, loc="lower right")
    for axes in (left, right):
        axes.spines[["top"]].set_visible(False)
        axes.grid(alpha=0.2)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Command line.

    Raises:
        SystemExit: With code 1 after an error of the user's, 2 for options that do not fit.
    """
    parser = argparse.ArgumentParser(description="Probe each block of some weights.")
    parser.add_argument("--weights", default="rendered", help="rendered, keras, imagenet or a file")
    parser.add_argument(
        "--root", type=Path, default=Path(project_path("dataset/sample")), help="photos"
    )
    parser.add_argument("--size", type=int, default=64, help="side in pixels")
    parser.add_argument("--logs", type=Path, help="folder of a pretraining's metrics.csv")
    parser.add_argument("--picture", type=Path, help="a .png that is drawn")
    options = parser.parse_args(argv)
    if options.size < 32:
        parser.error(f"--size {options.size}: VGG16 halves the side five times; give 32 or more")
    if options.picture and not options.logs:
        parser.error(
            "--picture draws the loss, too: give --logs, the folder of a pretraining's metrics.csv"
        )
    try:
        report(options)
    except (BookclsError, OSError) as error:
        sys.exit(f"bookcls: error: {str(error).strip()}")


def report(options: argparse.Namespace) -> None:
    """Probes, prints a row per set of weights, and draws if asked for.

    Raises:
        BookclsError: If photos or weights cannot be read.
    """
    folder = read_folder(options.root)
    folder, decoded = decode_folder(folder, options.size, "letterbox", "error")
    images = torch.stack(
        [STRONG(decoded[s.path], view) for view in range(VIEWS) for s in folder.train]
    )
    labels = [sample.label for sample in folder.train]
    found = find_weights(options.weights)
    torch.manual_seed(0)
    random = VGG16(2, image_size=64).features.state_dict()
    probes = {
        name: [probe(rows, labels) for rows in block_features(weights, images)]
        for name, weights in ((found.source, found.state), ("random", random))
    }
    print(f"{len(labels)} photos, {FOLDS}-fold, {REPEATS} repeats; most frequent class "
          f"{max(map(labels.count, labels)) / len(labels):.2f}")  # fmt: skip
    for name, blocks in probes.items():
        print(name.ljust(9), *(f"{b.mean():.3f} ({b.min():.2f}-{b.max():.2f})" for b in blocks))
    if options.picture:
        plot(read_curves(options.logs), probes).savefig(options.picture, dpi=110)


if __name__ == "__main__":
    main()

"""The gallery of wrong and least confident predictions, with the most similar training photos."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from bookcls.data.samples import Sample
from bookcls.explaining.explainer import Explainer
from bookcls.explaining.explanation import Explanation
from bookcls.explaining.map_scores import WRONG
from bookcls.explaining.panels import hide_ticks, save, title
from bookcls.explaining.similarity import similarity
from bookcls.pages.figures import literal

MAX_FAILURES = 24
PER_PAGE = 6
NEAREST = 3
BARS = 8


@dataclass(frozen=True)
class Training:
    """Training photos and their features, float32 (N, 256 or 512)."""

    samples: list[Sample]
    features: npt.NDArray[np.float32]

    def nearest(self, explanation: Explanation) -> list[tuple[Sample, float]]:
        """Finds the most similar training photos, with their similarity; never the photo itself."""
        similarities = similarity(self.features, explanation.features)
        order = [
            i for i in np.argsort(-similarities) if self.samples[i].path != explanation.sample.path
        ]
        return [(self.samples[i], float(similarities[i])) for i in order[:NEAREST]]


def compute_features(explainer: Explainer, samples: Sequence[Sample], batch_size: int) -> Training:
    """Computes the features of training photos."""
    rows = [
        explainer.answers(
            explainer.images(samples[start : start + batch_size], explainer.image_size)
        )[1].numpy()
        for start in range(0, len(samples), batch_size)
    ]
    return Training(list(samples), np.concatenate(rows))


class FailureGallery:
    """Collects the worst predictions: confident and wrong ones first, then the least confident."""

    def __init__(self) -> None:
        """Creates an empty gallery."""
        self.kept: list[Explanation] = []

    def add(self, explanation: Explanation) -> None:
        """Adds a prediction; at most ``MAX_FAILURES`` stay in memory."""
        self.kept = sorted([*self.kept, explanation], key=_rank)[:MAX_FAILURES]


def _rank(explanation: Explanation) -> tuple[bool, float]:
    prob = float(explanation.probs[explanation.pred])
    wrong = explanation.flag == WRONG
    return not wrong, -prob if wrong else prob


def draw(
    worst: Sequence[Explanation], training: Training | None, explainer: Explainer, path: Path
) -> list[Path]:
    """Draws the gallery, worst predictions first.

    Args:
        worst: The predictions.
        training: Features of the training photos, or None if they are not available.
        explainer: The model.
        path: The PNG; further pages are called ``<stem>_2.png`` and so on.

    Returns:
        The pages.
    """
    pages = []
    for start in range(0, len(worst), PER_PAGE):
        part = worst[start : start + PER_PAGE]
        number = start // PER_PAGE + 1
        pages.append(path if number == 1 else path.with_name(f"{path.stem}_{number}.png"))
        save(_page(part, training, explainer), pages[-1])
    return pages


def _page(part: Sequence[Explanation], training: Training | None, explainer: Explainer) -> Figure:
    names = explainer.class_names
    columns = 2 + (NEAREST if training else 0)
    figure = Figure(figsize=(2.1 * columns + 0.6, 2.15 * len(part) + 0.4), layout="constrained")
    grid = figure.subplots(len(part), columns, squeeze=False)
    for line, explanation in zip(grid, part, strict=True):
        hide_ticks(line[0])
        line[0].imshow(explanation.photo)
        heading = literal(title(explanation, names))
        line[0].set_title(heading, fontsize=9, fontweight="bold", loc="left")
        accepted = ", ".join(names[k] for k in explanation.sample.accepted)
        foot = f"{explanation.split}/{explanation.sample.name}" + (
            f"\naccepted: {accepted}" if accepted else ""
        )
        line[0].set_xlabel(literal(foot), fontsize=6)
        top = np.argsort(-explanation.probs)[:BARS][::-1]
        colours = ["C2" if k in explanation.sample.accepted else "0.6" for k in top]
        line[1].barh(range(len(top)), explanation.probs[top], color=colours)
        line[1].set_yticks(range(len(top)), [literal(names[k]) for k in top])
        line[1].set_xlim(0, 1)
        line[1].tick_params(labelsize=6)
        for y, k in enumerate(top):
            prob = explanation.probs[k]
            line[1].text(min(prob + 0.02, 0.8), y, f"{prob:.2f}", fontsize=6, va="center")
        near = training.nearest(explanation) if training else []
        for axes in line[2:]:
            axes.axis("off")
        for axes, (sample, likeness) in zip(line[2:], near, strict=False):
            axes.axis("on")
            hide_ticks(axes)
            axes.imshow(explainer.shown(sample))
            axes.set_title(literal(f"like {names[sample.label]} {likeness:.2f}"), fontsize=7)
            axes.set_xlabel(literal(f"train/{sample.name}"), fontsize=6)
    figure.suptitle(
        "wrong predictions, most confident first, then the least confident; green: accepted"
        + ("; right: the nearest training photos" if training else ""),
        fontsize=8,
    )
    return figure

"""Problems of single photos and files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from bookcls.checking.finding import Finding
from bookcls.checking.inspection import PhotoInfo
from bookcls.data.dataset import describe_copy, find_copies
from bookcls.data.photos import drop_unreadable
from bookcls.data.samples import PhotoFolder

DARK = 0.32
"""Threshold of the 99th percentile of brightness below which a photo is dark, as in cleanvision."""
BLURRED = 0.08
"""The least sharp photo has 0.14 in the sample and 0.12 in the study; both are usable."""
HUGE = 50_000_000
"""Number of pixels above which reading a photo takes seconds."""


def training_problems(folder: PhotoFolder, bad: Mapping[Path, str], on_bad: str) -> list[Finding]:
    """Finds what training would reject or leave out, with the same code as training.

    Args:
        folder: The dataset.
        bad: Photo -> why it cannot be read.
        on_bad: ``data.on_bad``.
    """
    root = folder.root
    copy_pairs = find_copies(folder)
    copy_lines = {describe_copy(root, *pair) for pair in copy_pairs}
    structure = [line for line in folder.problems if line not in copy_lines]
    remaining = drop_unreadable(folder, bad, on_bad)
    across_splits = [pair for pair in copy_pairs if pair[0] not in folder.train]
    across_classes = [pair for pair in copy_pairs if pair[0] in folder.train]
    return [
        Finding("structure", True, "fix each, or remove it from the folder", structure),
        Finding(
            "unreadable",
            True,
            "export each again from its source, or delete it; data.on_bad=skip leaves "
            "unreadable training photos out",
            remaining.problems[len(folder.problems) :],
        ),
        Finding(
            "left out",
            False,
            "data.on_bad=skip trains without them",
            [f"{path.relative_to(root).as_posix()}: {why}" for path, why in remaining.skipped],
        ),
        Finding(
            "copy in train and test",
            True,
            "delete one of each pair: a test photo that was used for training tests nothing",
            photos=[("the same file", [a.path, b.path]) for a, b in across_splits],
        ),
        Finding(
            "copy in two classes",
            True,
            "keep it in one of them: training cannot learn both labels",
            photos=[("the same file", [a.path, b.path]) for a, b in across_classes],
        ),
    ]


def photo_faults(infos: Sequence[PhotoInfo], image_size: int) -> list[Finding]:
    """Finds photos that can be read but may be of little use.

    Args:
        infos: The photos.
        image_size: Side of the network's input in pixels.
    """

    def finding_for(
        name: str,
        advice: str,
        matches: Callable[[PhotoInfo], bool],
        describe: Callable[[PhotoInfo], str],
    ) -> Finding:
        return Finding(
            name, False, advice, photos=[(describe(x), [x.path]) for x in infos if matches(x)]
        )

    return [
        finding_for(
            "wrong suffix",
            "rename each: bookcls goes by the content, but other programs go by the name",
            lambda x: not suffix_matches(x),
            lambda x: f"contains {x.format}",
        ),
        finding_for(
            "HEIC",
            "read by pillow-heif here; a machine without it needs pip install 'bookcls[heic]'",
            lambda x: x.format == "HEIF",
            lambda x: "",
        ),
        finding_for(
            "tiny",
            f"use larger photos: these are enlarged to data.image_size={image_size}",
            lambda x: max(x.width, x.height) < image_size,
            lambda x: f"{x.width} x {x.height} pixels",
        ),
        finding_for(
            "huge",
            "nothing is wrong with them, but they slow down the start of training",
            lambda x: x.width * x.height > HUGE,
            lambda x: f"{x.width} x {x.height} pixels",
        ),
        finding_for(
            "blurred or plain",
            "few edges: replace each in train, unless future photos will look like it",
            lambda x: x.sharpness < BLURRED,
            lambda x: f"sharpness {x.sharpness:.2f}",
        ),
        finding_for(
            "dark",
            "replace each in train, unless future photos will be as dark",
            lambda x: x.brightness < DARK,
            lambda x: f"brightness {x.brightness:.2f}",
        ),
    ]


def suffix_matches(info: PhotoInfo) -> bool:
    """Whether a file's suffix matches its content."""
    kinds = {"MPO": "JPEG"}  # JPEGs that contain a second picture
    expected = Image.registered_extensions().get(info.path.suffix.lower(), "")
    return kinds.get(info.format, info.format) == kinds.get(expected, expected)

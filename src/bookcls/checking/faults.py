"""What is wrong with single photos and files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from bookcls.checking.finding import Finding
from bookcls.checking.look import Look
from bookcls.data.dataset import describe_copy, find_copies
from bookcls.data.photos import drop_unreadable
from bookcls.data.samples import PhotoFolder

DARK = 0.32
"""Below it the brightest hundredth of a photo is still dark; the value is cleanvision's."""
BLURRED = 0.08
"""The least sharp photo of the sample has 0.14, of the study 0.12; neither is out of use."""
HUGE = 50_000_000
"""Pixels: a photo of more takes seconds to read."""


def refusals(folder: PhotoFolder, bad: Mapping[Path, str], on_bad: str) -> list[Finding]:
    """What training refuses, found by the code that makes it refuse.

    Args:
        folder: The dataset.
        bad: Photo -> why it cannot be read.
        on_bad: ``data.on_bad``.
    """
    root = folder.root
    pairs = find_copies(folder)
    known = {describe_copy(root, *pair) for pair in pairs}
    structure = [line for line in folder.problems if line not in known]
    left = drop_unreadable(folder, bad, on_bad)
    leaked = [pair for pair in pairs if pair[0] not in folder.train]
    twice = [pair for pair in pairs if pair[0] in folder.train]
    return [
        Finding("structure", True, "put each right, or take it out of the folder", structure),
        Finding(
            "unreadable",
            True,
            "export each again from where it came, or delete it; data.on_bad=skip leaves "
            "unreadable training photos out",
            left.problems[len(folder.problems) :],
        ),
        Finding(
            "left out",
            False,
            "data.on_bad=skip trains without them",
            [f"{path.relative_to(root).as_posix()}: {why}" for path, why in left.skipped],
        ),
        Finding(
            "copy in train and test",
            True,
            "delete one of each: a test photo that trained tests nothing",
            photos=[("the same file", [a.path, b.path]) for a, b in leaked],
        ),
        Finding(
            "copy in two classes",
            True,
            "keep it in one of them: training cannot learn both answers",
            photos=[("the same file", [a.path, b.path]) for a, b in twice],
        ),
    ]


def photo_faults(looks: Sequence[Look], image_size: int) -> list[Finding]:
    """Photos that can be read and may still be of little use.

    Args:
        looks: What was seen of each photo.
        image_size: Side of the square that the network sees, in pixels.
    """

    def found(
        name: str, advice: str, is_so: Callable[[Look], bool], say: Callable[[Look], str]
    ) -> Finding:
        return Finding(name, False, advice, photos=[(say(x), [x.path]) for x in looks if is_so(x)])

    return [
        found(
            "wrong suffix",
            "rename each: bookcls goes by the content, other programs by the name",
            lambda x: not suffix_fits(x),
            lambda x: f"holds {x.format}",
        ),
        found(
            "HEIC",
            "read by pillow-heif here; a machine without it needs pip install 'bookcls[heic]'",
            lambda x: x.format == "HEIF",
            lambda x: "",
        ),
        found(
            "tiny",
            f"take larger ones: they are enlarged to data.image_size={image_size}",
            lambda x: max(x.width, x.height) < image_size,
            lambda x: f"{x.width} x {x.height} pixels",
        ),
        found(
            "huge",
            "nothing is wrong with them, but each start of training takes longer",
            lambda x: x.width * x.height > HUGE,
            lambda x: f"{x.width} x {x.height} pixels",
        ),
        found(
            "blurred or plain",
            "few edges: replace each in train, unless the photos to come are like it",
            lambda x: x.sharpness < BLURRED,
            lambda x: f"sharpness {x.sharpness:.2f}",
        ),
        found(
            "dark",
            "replace each in train, unless the photos to come are as dark",
            lambda x: x.brightness < DARK,
            lambda x: f"brightness {x.brightness:.2f}",
        ),
    ]


def suffix_fits(look: Look) -> bool:
    """Whether a file's name says what it holds."""
    kinds = {"MPO": "JPEG"}  # JPEGs of cameras that store a second view behind the first
    said = Image.registered_extensions().get(look.path.suffix.lower(), "")
    return kinds.get(look.format, look.format) == kinds.get(said, said)

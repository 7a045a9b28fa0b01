"""Makes scenes from settings and training photos, and prints a summary."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bookcls.composing.compose import Scenes
from bookcls.composing.cutout import BY_CORNERS, MASK, make_cutouts
from bookcls.data.samples import PhotoFolder, Sample
from bookcls.errors import BookclsError
from bookcls.settings import AugConfig, DataConfig

BACKGROUND = "background"
"""Name of the class that shows none of the things, in any case."""


def make_scenes(
    aug: AugConfig, data: DataConfig, folder: PhotoFolder, train: Sequence[Sample]
) -> Scenes | None:
    """Scenes of the photos that train, and of no others; None if ``aug.scenes`` is 0.

    Raises:
        BookclsError: If no thing can be cut out of any photo, or a mask does not fit.
    """
    if not aug.scenes:
        return None
    names = [name.casefold() for name in folder.class_names]
    background = names.index(BACKGROUND) if BACKGROUND in names else None
    cutouts = make_cutouts(tuple(train), folder.root, len(names), background, data.image_size)
    scenes = Scenes(
        cutouts,
        len(names),
        background,
        size=data.image_size,
        fit=data.fit,
        share=aug.scenes,
        unknown=aug.scene_unknown,
    )
    if not scenes.things:
        reasons = Counter(c.method for c in cutouts if c.picture is None).most_common(3)
        raise BookclsError(
            f"aug.scenes={aug.scenes:g}: nothing could be cut out of any of the {len(train)} "
            f"training photos ({'; '.join(f'{why}: {n}' for why, n in reasons)}). Scenes need "
            "photos of one whole thing on a plain ground, or masks in "
            f"{folder.root / 'masks' / 'train'} (docs/explanations.md says what a mask is); or "
            "train without them, aug=all."
        )
    return scenes


def print_scenes(scenes: Scenes, class_names: Sequence[str], table: Path, sheet: Path) -> None:
    """Prints how many objects were cut out, the classes without any, and where the sheet is.

    Args:
        scenes: What will be drawn from.
        class_names: Names by label.
        table: The csv that names the photos that were left out.
        sheet: The picture of cut-outs and scenes.
    """
    tried = [c for c in scenes.cutouts if c.sample.label != scenes.background]
    cut = [c for c in tried if c.picture is not None]
    masked = sum(c.method in (MASK, BY_CORNERS) for c in cut)
    by_mask = f", {masked} by your masks or corners" if masked else ""
    out = (
        f", {len(tried) - len(cut)} photos left out ({table.name})" if len(cut) < len(tried) else ""
    )
    ground = (
        f"{len(scenes.grounds)} photos of {BACKGROUND}" if scenes.grounds else "rendered floors"
    )
    print(
        f"scenes   things cut out of {len(cut)} of {len(tried)} photos{by_mask}{out}; composed on "
        f"{ground}, {scenes.share:.0%} of the images: {sheet}"
    )
    for label, number in sorted(Counter(c.sample.label for c in tried).items()):
        if label not in scenes.things:
            print(
                f"warning: nothing could be cut out of the {number} photos of "
                f"{class_names[label]}: they are drawn as they are, and no scene shows it."
            )
    if not scenes.grounds:
        print(
            f"note: without a class '{BACKGROUND}' the floors are rendered ones; photos of the "
            "places without your things, in a folder of that name, make better scenes."
        )

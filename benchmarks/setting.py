"""What the figures share with a run: settings as a command composes them, photos, the model."""

import os
import shutil
from pathlib import Path

import torchvision
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from bookcls.config import BOOKS, conf_dir, project_path, register_resolvers, to_dataclass
from bookcls.data.images import load_image
from bookcls.data.samples import list_photos, list_visible
from bookcls.settings import TrainConfig

NARROW: list[int | str] = [8, 8, "M", 8, 8, "M", 8, 8, 8, "M", 8, 8, 8, "M", 8, 8, 512, "M"]
PHONE = (4032, 3024)
"""Twelve megapixels."""
DISTINCT = 20
"""Phone photos that are made; more are links to them, which every loader decodes all the same."""


def settings(*overrides: str) -> TrainConfig:
    """The configuration that ``python -m bookcls.train`` makes of these words."""
    GlobalHydra.instance().clear()
    register_resolvers()
    with initialize_config_dir(str(conf_dir("train")), version_base="1.3"):
        return to_dataclass(compose("train", overrides=list(overrides)), TrainConfig)


def narrow() -> None:
    """Makes every VGG16 that is built from now on a narrow one."""
    torchvision.models.vgg.cfgs["D"] = NARROW


def photos() -> Path:
    """The real books where they were fetched, else the sample."""
    books = Path(project_path(BOOKS))
    return books if (books / "train").is_dir() else Path(project_path("dataset/sample"))


def make_folder(root: Path, number: int, *, phone: bool = False) -> Path:
    """Makes a dataset of so many training photos, the same number of each class.

    Args:
        root: A folder that is not there yet.
        number: Photos in all, rounded up to a multiple of the classes.
        phone: Whether each is enlarged to twelve megapixels.
    """
    class_dirs = [path for path in list_visible(photos() / "train") if path.is_dir()]
    each = -(-number // len(class_dirs))
    for class_dir in class_dirs:
        target = root / "train" / class_dir.name
        target.mkdir(parents=True)
        sources = list_photos(class_dir)[0]
        if phone:
            sources = sources[: -(-DISTINCT // len(class_dirs))]
        made: list[Path] = []
        for i in range(each):
            path = target / f"{i:05d}.jpg"
            if i >= len(sources):
                os.link(made[i % len(made)], path)
            elif phone:
                image = load_image(sources[i])
                long, short = PHONE
                size = (long, short) if image.width >= image.height else (short, long)
                image.resize(size).save(path, quality=92)
            else:
                shutil.copy(sources[i], path)
            made.append(path)
    return root

"""Which checkpoints, which photos, and where the results go. No torch."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bookcls import runs
from bookcls.config import full_path
from bookcls.data.samples import Sample
from bookcls.data.sources import list_images
from bookcls.errors import BookclsError
from bookcls.explaining.settings import CamConfig
from bookcls.files import read_json, refuse_links

PAGES = re.compile(r"(sheet_.+|failures(_\d+)?|external(_\d+)?)\.png|external\.(csv|json)")
OR_IMAGES = ", or images=PATH for any photo or folder of photos"
SPLITS = re.compile(r"images|train|test_[^/\\]+")


@dataclass(frozen=True)
class Chosen:
    """What will be explained.

    Attributes:
        ckpts: Checkpoint files.
        root: Folder of the dataset, or None where only single photos are given.
        batch_size: Photos a step.
        images: Photos that were asked for by ``images=``, else None.
        output: Folder of the results.
    """

    ckpts: list[Path]
    root: Path | None
    batch_size: int
    images: list[Sample] | None
    output: Path


def choose(config: CamConfig) -> Chosen:
    """Finds everything that the settings name.

    Raises:
        BookclsError: For what is not there.
    """
    trained = [runs.open_run(name) for name in config.ckpts or [""]]
    first, ckpts = trained[0], [run.ckpt for run in trained]
    if len({ckpt.resolve() for ckpt in ckpts}) < len(ckpts):
        raise BookclsError(f"ckpt=[{','.join(config.ckpts)}]: the same checkpoint twice.")
    if config.images is not None:
        images, root = list_images(config.images), first.root(config.data.root)
    else:
        images, root = None, first.required_root(config.data.root, alternative=OR_IMAGES)
    batch_size = first.batch_size(config.data.batch_size)
    folder = default_output(config, ckpts, first.data.get("root"))
    if not config.output:
        refuse_links(folder, ckpts[0].parent)
    output = full_path("output", config.output) if config.output else folder
    if output.exists() and not output.is_dir():
        raise BookclsError(f"output={output} is a file: give a folder.")
    return Chosen(ckpts, root, batch_size, images, output)


def default_output(config: CamConfig, ckpts: list[Path], trained_on: str | None) -> Path:
    """RUN/cam for the run's own test photos, a folder in it for anything else: nothing mixes."""
    folder = ckpts[0].parent / runs.CAM
    if len(ckpts) > 1:
        folder /= f"compare-{_digest(ckpts)}"
    if config.images is not None:
        return folder / "images"
    root = full_path("data.root", config.data.root) if config.data.root else None
    if root and (trained_on is None or root != full_path("data.root", trained_on)):
        folder /= f"{root.name}-{_digest([root])}"
    return folder / "train" if config.data.split == "train" else folder


def _digest(paths: Iterable[Path]) -> str:
    """A few letters that stand for paths."""
    text = "\n".join(str(path.resolve()) for path in paths)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:7]


def earlier(output: Path) -> set[Path]:
    """Pages and panels of an earlier call, by its cam.json; a folder without one is not ours.

    Raises:
        BookclsError: If the folder of a split leads elsewhere.
    """
    files: dict[str, list[str]] = {}
    try:
        for row in read_json(output / runs.CAM_JSON)["runs"][0]["photos"]:
            if SPLITS.fullmatch(row["split"]):
                files.setdefault(row["split"], []).append(str(row["file"]))
    except (BookclsError, LookupError, TypeError):
        return set()
    found = {path for path in output.iterdir() if PAGES.fullmatch(path.name)}
    for split, names in files.items():
        refuse_links(output / split, output)
        found |= {output / split / f"{name}.png" for name in safe_names(names).values()}
    return found


def safe_names(names: Iterable[str]) -> dict[str, str]:
    """Photo name -> file name without suffix that every system takes; no two are the same.

    Example:
        >>> safe_names(["a/b 1.jpg", "a_b_1.jpg", "本.png"])
        {'a/b 1.jpg': 'a_b_1', 'a_b_1.jpg': 'a_b_1-2', '本.png': '本'}
    """
    taken: set[str] = set()
    safe: dict[str, str] = {}
    for name in names:
        stem = re.sub(r"[^\w.-]+", "_", name.rpartition(".")[0] or name).strip("._") or "photo"
        stem = stem[-100:]
        unique, number = stem, 1
        while unique.lower() in taken:
            number += 1
            unique = f"{stem}-{number}"
        taken.add(unique.lower())
        safe[name] = unique
    return safe

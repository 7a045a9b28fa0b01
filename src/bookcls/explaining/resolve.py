"""Resolves the paths of checkpoints, photos and output. Does not import torch."""

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
from bookcls.storage.files import read_json
from bookcls.storage.folders import refuse_links

PAGES = re.compile(r"(sheet_.+|failures(_\d+)?|external(_\d+)?)\.png|external\.(csv|json)")
OR_IMAGES = ", or images=PATH for any photo or folder of photos"
SPLITS = re.compile(r"images|train|test_[^/\\]+")


@dataclass(frozen=True)
class ResolvedSettings:
    """What to explain, and where to write.

    Attributes:
        ckpts: Checkpoint files.
        root: Folder of the dataset, or None if only single photos are given.
        batch_size: Photos per batch.
        images: Photos given by ``images=``, or None.
        output: Folder of the results.
    """

    ckpts: list[Path]
    root: Path | None
    batch_size: int
    images: list[Sample] | None
    output: Path


def resolve_settings(config: CamConfig) -> ResolvedSettings:
    """Resolves the paths in the settings.

    Raises:
        BookclsError: If a path does not exist or cannot be used.
    """
    found_runs = [runs.open_run(name) for name in config.ckpts or [""]]
    first, ckpts = found_runs[0], [run.ckpt for run in found_runs]
    if len({ckpt.resolve() for ckpt in ckpts}) < len(ckpts):
        raise BookclsError(f"ckpt=[{','.join(config.ckpts)}]: the same checkpoint is given twice.")
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
    return ResolvedSettings(ckpts, root, batch_size, images, output)


def default_output(config: CamConfig, ckpts: list[Path], trained_on: str | None) -> Path:
    """Returns RUN/cam for the run's own test photos, and a separate subfolder for anything else."""
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
    """Computes a short hash of paths."""
    text = "\n".join(str(path.resolve()) for path in paths)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:7]


def find_earlier_files(output: Path) -> set[Path]:
    """Finds the files of an earlier call from its cam.json; without one, none belong to us.

    Raises:
        BookclsError: If the folder of a split is a link.
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
    """Maps photo names to unique file names, without suffix, that are valid on every system.

    Example:
        >>> safe_names(["a/b 1.jpg", "a_b_1.jpg", "本.png"])
        {'a/b 1.jpg': 'a_b_1', 'a_b_1.jpg': 'a_b_1-2', '本.png': '本'}
    """
    used: set[str] = set()
    safe: dict[str, str] = {}
    for name in names:
        stem = re.sub(r"[^\w.-]+", "_", name.rpartition(".")[0] or name).strip("._") or "photo"
        stem = stem[-100:]
        unique, number = stem, 1
        while unique.lower() in used:
            number += 1
            unique = f"{stem}-{number}"
        used.add(unique.lower())
        safe[name] = unique
    return safe

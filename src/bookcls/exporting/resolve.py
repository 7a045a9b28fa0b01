"""Resolves the paths of checkpoint, photos and output file. Does not import torch."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bookcls import runs
from bookcls.config import full_path
from bookcls.errors import BookclsError
from bookcls.exporting.settings import ExportConfig
from bookcls.storage.folders import refuse_links

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class ResolvedSettings:
    """What to export, and where to.

    Attributes:
        ckpt: Checkpoint file.
        root: Folder of the dataset to check on, or None if the run's no longer exists.
        output: The file to write.
    """

    ckpt: Path
    root: Path | None
    output: Path


def resolve_settings(config: ExportConfig) -> ResolvedSettings:
    """Resolves the paths in the settings and checks that the file can be written.

    Raises:
        BookclsError: If a path does not exist or cannot be written, or a package is missing.
    """
    run = runs.open_run(config.ckpt)
    ckpt, root = run.ckpt, run.root(config.data.root)
    if config.precision == "int8" and root is None:
        raise BookclsError(
            "precision=int8 takes its ranges from training photos, and those of the run no longer "
            "exist: give data.root=DIR, the folder that contains train/<class>/."
        )
    if config.output is not None:
        output = full_path("output", config.output)
    else:
        size = "" if config.precision == "fp32" else f".{config.precision}"
        output = ckpt.with_name(f"{ckpt.stem}{size}{config.suffix}")
        refuse_links(output, ckpt.parent)
        output = output.resolve()
    refuse_unwritable(output, overwrite=config.overwrite)
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if config.format == "onnx" and missing:
        raise BookclsError(
            f"format=onnx needs {' and '.join(missing)}, which is not installed: "
            "pip install 'bookcls[export]'. (format=torch needs no extra package.)"
        )
    return ResolvedSettings(ckpt, root, output)


def refuse_unwritable(output: Path, *, overwrite: bool) -> None:
    """Refuses an output file that cannot be written, before the export starts.

    Raises:
        BookclsError: If it cannot be written, or exists and may not be overwritten.
    """
    if output.is_dir():
        raise BookclsError(f"output={output} is a folder: give a file.")
    if output.exists() and not overwrite:
        raise BookclsError(
            f"{output} already exists: overwrite=true replaces it, output=FILE writes another file."
        )
    folder = next(path for path in output.parents if path.exists())
    if not folder.is_dir():
        raise BookclsError(f"{output} cannot be written: {folder} is a file, not a folder.")
    if not os.access(folder, os.W_OK):
        raise BookclsError(
            f"{output} cannot be written: no permission to write to {folder}. Give output=FILE."
        )

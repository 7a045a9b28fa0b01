"""Which checkpoint, which photos to check on, and where the file goes. No torch."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bookcls import runs
from bookcls.config import full_path
from bookcls.errors import BookclsError
from bookcls.exporting.settings import ExportConfig
from bookcls.files import refuse_links

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Chosen:
    """What will be exported.

    Attributes:
        ckpt: Checkpoint file.
        root: Folder of the dataset to check on, or None where the run's is gone.
        output: The file to write.
    """

    ckpt: Path
    root: Path | None
    output: Path


def choose(config: ExportConfig) -> Chosen:
    """Finds everything that the settings name.

    Raises:
        BookclsError: For what is not there, or cannot be written.
    """
    run = runs.open_run(config.ckpt)
    ckpt, root = run.ckpt, run.root(config.data.root)
    if config.precision == "int8" and root is None:
        raise BookclsError(
            "precision=int8 takes its ranges from training photos, and the run's are gone: give "
            "data.root=DIR, the folder that holds train/<class>/."
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
            f"format=onnx needs {' and '.join(missing)}, not installed here: "
            "pip install 'bookcls[export]'. (format=torch needs nothing more.)"
        )
    return Chosen(ckpt, root, output)


def refuse_unwritable(output: Path, *, overwrite: bool) -> None:
    """Finds out before the work whether the file can be written after it.

    Raises:
        BookclsError: If not, or if it is there already and may not be replaced.
    """
    if output.is_dir():
        raise BookclsError(f"output={output} is a folder: give a file.")
    if output.exists() and not overwrite:
        raise BookclsError(
            f"{output} is there already: overwrite=true replaces it, output=FILE writes another."
        )
    folder = next(path for path in output.parents if path.exists())
    if not folder.is_dir():
        raise BookclsError(f"{output} cannot be written: {folder} is a file, not a folder.")
    if not os.access(folder, os.W_OK):
        raise BookclsError(
            f"{output} cannot be written: no permission to write into {folder}. Give output=FILE."
        )

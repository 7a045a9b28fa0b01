"""Exports a model: writes the file, runs it on photos, and keeps it only if they agree."""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from bookcls import __version__
from bookcls.data.images import PAD_RGB
from bookcls.environment import git_commit
from bookcls.exporting import check, network
from bookcls.exporting.check import Row
from bookcls.exporting.integers import write_int8
from bookcls.exporting.photos import photos_to_check, prepare, training_photos
from bookcls.exporting.resolve import ResolvedSettings
from bookcls.exporting.settings import ExportConfig
from bookcls.storage.files import atomic_write
from bookcls.training.checkpoint import load_classifier
from bookcls.training.classifier import Classifier

PREPROCESSING = (
    "Pillow: JPEG draft of twice image_size; EXIF orientation; RGB, transparency on white; resize "
    "BILINEAR with reducing_gap=3 (letterbox: longest side to image_size, centred on pad_rgb; "
    "squash: both sides); / 255; - mean; / std; float32 (N, 3, H, W)"
)
"""What ``data.preprocessing`` does, for a port to another language."""


def export(config: ExportConfig, resolved: ResolvedSettings) -> None:
    """Writes the file if it predicts what the checkpoint predicts, and prints a table.

    Args:
        config: The settings.
        resolved: Checkpoint, photos and output file.

    Raises:
        BookclsError: For anything that the user can fix; no file is written then.
    """
    classifier = load_classifier(resolved.ckpt)
    names, image_size = classifier.class_names, classifier.preprocessing.image_size
    photos = photos_to_check(resolved.root, classifier)
    print(f"model    {resolved.ckpt}: {len(names)} classes, {image_size} px")
    print(f"checked  on {photos.description}")
    size = resolved.ckpt.stat().st_size
    rows = [Row("PyTorch", size, network.run_original(classifier, photos.images))]
    metadata = make_metadata(classifier, resolved.ckpt, config.precision)
    with atomic_write(resolved.output) as path, TemporaryDirectory() as folder:
        if config.format == "torch":
            network.write_torch(classifier.model, path, image_size, metadata)
            probs = network.run_torch(path, photos.images)
            rows.append(Row("torch.export", path.stat().st_size, probs))
            check.refuse_different(rows[1], rows[0])
        else:
            # float32 first: a difference there is not caused by the lower precision.
            for precision in dict.fromkeys(("fp32", config.precision)):
                source = Path(folder) / f"{precision}.onnx"
                write_precision(precision, source, classifier, resolved.root)
                network.describe_onnx(source, path, metadata)
                probs = network.run_onnx(path, photos.images)
                rows.append(Row(f"ONNX {precision}", path.stat().st_size, probs))
                check.refuse_different(rows[1], rows[0])
        check.print_table(rows, photos, names)
    print(f"written to  {resolved.output}")


def write_precision(precision: str, path: Path, classifier: Classifier, root: Path | None) -> None:
    """Writes an ONNX file; int8 quantizes the fp32 file next to it, using training photos."""
    image_size = classifier.preprocessing.image_size
    if precision == "int8":
        assert root is not None
        images = prepare(training_photos(root, classifier), classifier.preprocessing)
        print(f"ranges   of int8 from {len(images)} training photos")
        write_int8(path.with_name("fp32.onnx"), path, images)
    else:
        dtype = torch.float16 if precision == "fp16" else torch.float32
        network.write_onnx(classifier.model, path, image_size, dtype)


def make_metadata(classifier: Classifier, ckpt: Path, precision: str) -> dict[str, Any]:
    """The file's metadata: what is needed to use it, and where it comes from."""
    preprocessing = classifier.preprocessing
    with ckpt.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "class_names": classifier.class_names,
        "image_size": preprocessing.image_size,
        "fit": preprocessing.fit,
        "pad_rgb": list(PAD_RGB),
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
        "preprocessing": PREPROCESSING,
        "precision": precision,
        "weights": classifier.hparams["weights"],
        "ckpt_sha256": digest,
        "bookcls": __version__,
        "git_commit": git_commit(),
        "torch": torch.__version__,
    }

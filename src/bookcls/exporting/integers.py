"""8-bit weights and activations, by onnxruntime's static quantization."""

from pathlib import Path
from typing import Any

from bookcls.exporting.network import INPUT
from bookcls.exporting.photos import Array


def write_int8(source: Path, path: Path, images: Array) -> None:
    """Quantizes a float32 ONNX file.

    Each channel of a weight has its own scale; an activation's range is measured on the images.
    Both are signed, with explicit scales (QDQ), as onnxruntime recommends for CPUs. Weights use 7
    of the 8 bits (``reduce_range``): with 8, sums overflow on CPUs without VNNI, and predictions
    would depend on the machine.

    Args:
        source: The float32 file.
        path: The file to write.
        images: Training photos, float32 (N, 3, H, W), normalised.
    """
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
        """Yields one image after another."""

        def __init__(self) -> None:
            self.remaining = iter(images)

        def get_next(self) -> dict[str, Any] | None:
            """The next input, or None after the last."""
            image = next(self.remaining, None)
            return None if image is None else {INPUT: image[None]}

    prepared = path.with_name("prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(path),
        Reader(),
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QInt8,
    )

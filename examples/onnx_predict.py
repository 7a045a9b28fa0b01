"""Class probabilities of photos by an exported model: onnxruntime, numpy and Pillow alone.

python examples/onnx_predict.py model.onnx photo.jpg ...
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
model = json.loads(session.get_modelmeta().custom_metadata_map["bookcls"])
side = model["image_size"]
Image.MAX_IMAGE_PIXELS = None  # your own photos may be panoramas


def prepare(path: str) -> np.ndarray:
    """A photo as float32 (3, side, side), exactly as in training."""
    image = Image.open(path)
    if image.format == "JPEG":
        image.draft(None, (2 * side, 2 * side))  # decodes at a reduced scale
    image = ImageOps.exif_transpose(image)
    if image.mode[0] in "IF":
        sys.exit(f"{path}: more than 8 bits a channel; convert it first")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    if model["fit"] == "squash":
        width = height = side
    small = image.convert("RGB").resize((width, height), Image.BILINEAR, reducing_gap=3.0)
    square = Image.new("RGB", (side, side), tuple(model["pad_rgb"]))
    square.paste(small, ((side - width) // 2, (side - height) // 2))
    pixels = np.asarray(square, np.float32) / 255
    pixels = (pixels - np.float32(model["mean"])) / np.float32(model["std"])
    return pixels.transpose(2, 0, 1)


for path in sys.argv[2:]:
    (probs,) = session.run(["probs"], {"images": prepare(path)[None]})[0]
    ranked = sorted(zip(probs, model["class_names"], strict=True), reverse=True)
    print(path, *(f"{name} {p:.5f}" for p, name in ranked), sep="  ")

"""From photos on disk to augmented batches of tensors.

Reading a folder (``dataset``, ``sources``) and decoding (``images``, ``photos``) need Pillow and
numpy alone, so that bad input is refused before torch is imported.
"""

__all__ = [
    "answers",
    "containers",
    "dataset",
    "groups",
    "held_out",
    "images",
    "masks",
    "mixup",
    "photos",
    "preprocessing",
    "progress",
    "rgb",
    "sampler",
    "samples",
    "sources",
    "streams",
    "transforms",
]

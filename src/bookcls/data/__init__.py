"""Loads photos from disk, and turns them into augmented batches of tensors.

Reading a folder (``dataset``, ``sources``) and decoding (``images``, ``photos``) only need Pillow
and numpy, so that invalid input is rejected before torch is imported.
"""

__all__ = [
    "answers",
    "containers",
    "dataset",
    "groups",
    "held_out",
    "images",
    "leavings",
    "masks",
    "mixup",
    "photo_files",
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

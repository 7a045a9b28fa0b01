"""Rendered books: covers, floors and scenes, each with its truth, from integer seeds alone.

A leaf of the package: numpy, OpenCV and Pillow, nothing of bookcls outside this room.

- ``designs`` (which cover an integer stands for), ``covers`` (its picture).
- ``rooms`` and ``sampling`` draw layouts; a ``Layout`` is plain data, made with ``placing``.
- ``scenes``: a layout and its textures become a photo and its truth.
- ``books``, ``plan``, ``sample``: the fixed sample in ``dataset/sample``.
"""

__all__ = ["arrays", "covers", "designs", "layout", "rooms", "sampling", "scenes"]

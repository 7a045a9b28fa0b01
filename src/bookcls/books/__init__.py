"""The real photos: their manifest and labels, which ship, and how they become a dataset."""

__all__ = ["manifest", "source"]

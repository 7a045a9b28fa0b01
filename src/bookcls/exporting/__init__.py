"""A trained classifier as a file for other programs, checked against the checkpoint."""

__all__ = ["export", "resolve", "settings"]

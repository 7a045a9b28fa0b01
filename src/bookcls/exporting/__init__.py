"""A trained classifier as a file for other programs, checked against the original."""

__all__ = ["chosen", "export", "settings"]

"""Writes that leave files whole: atomic replacement, checks for links, and locks on folders."""

__all__ = ["files", "folders"]

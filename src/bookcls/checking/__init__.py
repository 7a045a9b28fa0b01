"""Finds problems in a dataset before training."""

__all__ = ["check", "duplicates", "inspection", "settings"]

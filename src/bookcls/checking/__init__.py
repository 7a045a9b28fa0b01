"""What is wrong with a dataset, or will be, before anything is trained on it."""

__all__ = ["check", "duplicates", "inspection", "settings"]

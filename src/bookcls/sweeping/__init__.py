"""Several runs with one command: which cells there are, which are done, side by side."""

__all__ = ["cells", "workers"]

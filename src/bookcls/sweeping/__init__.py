"""Several runs with one command: the jobs, what became of them, and running them in parallel."""

__all__ = ["jobs", "workers"]

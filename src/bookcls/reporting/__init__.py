"""From a folder of runs to tables, plots and one page: what numbers say, and what they do not."""

__all__ = ["cells", "found", "markdown", "page", "photos", "plots", "settings", "summary", "tables"]

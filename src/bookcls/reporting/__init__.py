"""From a folder of runs to tables, plots and one page: what numbers say, and what they do not."""

__all__ = ["cells", "collect", "markdown", "page", "plots", "settings", "summary", "tables"]

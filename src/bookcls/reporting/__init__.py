"""Summarises a folder of runs in tables, plots and one page, with significance tests."""

__all__ = [
    "cells",
    "collect",
    "markdown",
    "page",
    "photos",
    "plots",
    "settings",
    "summary",
    "tables",
]

"""Shared by the html pages and figures of several commands: templates, style, thumbnails."""

__all__ = ["figures", "templates", "thumbnails"]

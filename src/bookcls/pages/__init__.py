"""What the html pages and figures of several verbs share: templates, style, thumbnails."""

__all__ = ["figures", "templates", "thumbnails"]

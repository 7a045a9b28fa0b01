"""New training photos, composed of what is cut out of the old ones (``aug=scenes``)."""

__all__ = ["compose", "gather", "sheet"]

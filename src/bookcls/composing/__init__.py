"""Training scenes composed of objects cut out of the training photos (``aug=scenes``)."""

__all__ = ["compose", "gather", "sheet"]

"""Features of the frozen backbone, computed once per photo, and a linear model on them.

``extract`` computes and caches the features, ``probe`` fits and cross-validates the linear model.
"""

__all__ = ["extract", "probe"]

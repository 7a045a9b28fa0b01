"""What a frozen backbone makes of each photo, computed once, and the probe: a linear model on it.

``extract`` computes and caches the features, ``probe`` fits and judges the linear model.
"""

__all__ = ["extract", "probe"]

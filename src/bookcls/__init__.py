"""A strong image classifier from a very small dataset, with the evidence to trust it."""

__version__ = "0.1.0"

"""Explains predictions: activation maps, scores of the maps, audits, and figures."""

__all__ = [
    "explain",
    "explainer",
    "external",
    "map_scores",
    "maps",
    "panels",
    "resolve",
    "settings",
    "similarity",
]

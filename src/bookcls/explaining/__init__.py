"""What the model looked at: maps, the numbers that judge them, audits, and figures."""

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

"""What the model looked at: maps, the numbers that judge them, audits, and figures."""

__all__ = [
    "chosen",
    "explain",
    "explainer",
    "external",
    "maps",
    "numbers",
    "panels",
    "settings",
    "similarity",
]

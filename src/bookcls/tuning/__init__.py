"""Ranks recipes by cross-validation on the training photos; test photos are never used.

- ``space``: the search space. ``crossval``: the folds, and their held-out predictions.
- ``search``: runs the trials, with early stopping. ``study``: proposes and stores them (Optuna).
- ``trials``: scores of a trial, and significance tests. ``results``: table, plot and final summary.
"""

__all__ = ["search", "settings", "space"]

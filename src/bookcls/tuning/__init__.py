"""Selection without cheating: recipes are ranked by cross-validation on the training photos.

- ``space``: what may vary, checked, and its values as settings. ``crossval``: folds, and what a
  fold's model predicts for its held-out photos.
- ``search``: which recipe is tried next, and when one is given up. ``trials``: what a trial scored,
  and whether two can be told apart. ``results``: table, plot and the last lines.
"""

__all__ = ["search", "settings", "space"]

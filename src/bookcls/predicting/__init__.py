"""Answers to photos without labels, as many as there are, at constant memory.

- ``files``: which photos, folder by folder, and where to. ``decoding``: a few of them ahead, in
  threads. ``threshold``: below which probability an answer is unsure. ``predictor``: a model that
  answers, which is also the Python call. ``prediction``: an answer.
- ``table``: predictions.csv. ``pictures``: what the model looked at. ``words``: what it came to.
  ``run``: all of it, for the verb.
"""

__all__ = ["decoding", "prediction", "predictor", "run", "settings", "table", "threshold"]

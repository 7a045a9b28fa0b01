"""Classifies any number of photos without labels, at constant memory.

- ``decoding``: decodes a few photos ahead, in threads. ``threshold``: the probability below which a
  prediction is unsure. ``predictor``: the model, also for Python. ``prediction``: one prediction.
- ``table``: predictions.csv. ``pictures``: what the model looked at. ``summary``: the printed
  summary. ``run``: the whole command.
"""

__all__ = ["decoding", "prediction", "predictor", "run", "settings", "table", "threshold"]

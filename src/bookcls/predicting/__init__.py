"""Answers to photos without labels, as many as there are, at constant memory.

- ``files``: which photos, folder by folder. ``decoding``: a few of them ahead, in threads.
  ``predictor``: a model that answers, which is also the Python call. ``threshold``: below which
  probability an answer is unsure.
- ``table``: predictions.csv. ``pictures``: what the model looked at. ``words``: what it came to.
  ``run``: all of it, for the verb.
"""

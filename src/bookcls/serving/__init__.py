"""Serves a trained model as a web page and a REST endpoint on the local network.

- ``settings``, ``resolve``: what is served and where; no torch. ``photos``: which of the run's
  photos still exist. ``neighbours``: the training photos most similar to a given one.
  ``answerer``: handles one request at a time. ``api``: REST. ``page``, ``upload``: the web page.
  ``run``: the whole command.
- ``gate``, ``body``, ``connections``: limits on who may send requests, their size and duration.
"""

__all__ = ["resolve", "run", "settings"]

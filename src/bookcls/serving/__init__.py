"""Serves a trained model as a web page and a REST endpoint on the local network.

- ``settings``, ``resolve``: what is served and where; no torch. ``photos``: which of the run's
  photos still exist. ``neighbours``: the training photos most similar to a given one.
  ``answerer``: handles one request at a time. ``api``: REST. ``page``: the web page. ``app``: both
  as one application. ``run``: the whole command.
- ``gate``, ``hosts``, ``body``, ``connections``: limits on who may send requests, their size and
  duration. ``refusals``: how a request is refused.
- ``decoder``, ``decoding``: a process of its own that decodes photos, within limits.
"""

__all__ = ["resolve", "run", "settings"]

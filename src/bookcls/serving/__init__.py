"""A trained model behind a page and a REST address, for people and programs nearby.

- ``settings``, ``chosen``: what is served and where; no torch. ``photos``: which of the run's
  photos are still there. ``neighbours``: training photos like a given one. ``answerer``: one
  question after another. ``api``: REST. ``page``, ``upload``: what a person sees. ``run``: all of
  it, for the verb.
- ``gate``, ``body``, ``connections``: who is let in, how much and how slowly.
"""

__all__ = ["chosen", "run", "settings"]

"""Downloads the real photos of the 2018 study and turns them into a dataset.

- ``settings``: conf/fetch.yaml. ``manifest``: which files, and the labels that ship with bookcls.
  ``download``: gets and checks them, with pooch. ``dataset``: puts the folder in place as a whole.
"""

__all__ = ["dataset", "download", "manifest", "settings"]

"""Pretraining without natural images: which covers are in this rendered scene?

Pictures that a program draws can stand in for natural ones where colour, backgrounds, several
objects an image and above all diversity are there (Anderson & Farrell, WACV 2022; Baradad et al.,
NeurIPS 2021), and pasted objects teach what they look like anywhere (Dwibedi et al., ICCV 2017).

- ``settings``: conf/pretrain.yaml as typed values.
- ``identities``, ``bank``: which covers there are, and their pictures, drawn once.
- ``rendered``: scenes from ``bookcls.synthetic``.
- ``targets``, ``augment``: what the loss gets; colour and erasing.
- ``data``, ``module``, ``rounds``, ``fit``: Lightning. ``export``: BatchNorm folded away, weights
  and card.
- ``sheet``: a picture of some scenes.
"""

__all__ = ["fit", "settings"]

"""One side of the comparison with peers each: ``prepare(setting)`` returns a turn.

A turn trains one pass over the folder's photos and returns the number of images. Sides live in
processes of their own (worker.py), so that none patches, warms or fills another's torch.
"""

"""Evaluation of predictions: scores with intervals, paired tests, and advice in words."""

__all__ = ["advice", "evaluation", "scores", "statistics"]

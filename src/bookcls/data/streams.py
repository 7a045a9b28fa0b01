"""Independent streams of random numbers, one per purpose."""

from enum import IntEnum, unique


@unique
class Stream(IntEnum):
    """Passed with the seed to numpy's generators; changing a number changes results.

    The drawings of ``bookcls.synthetic``, which knows nothing of the rest, have their own.
    """

    SPLIT = 1
    """Which photos are held out for validation."""
    ORDER = 2
    """Which photos are drawn in an epoch, in which order."""
    DRAW = 3
    """The seed of each draw, which decides its augmentation."""
    MIXUP = 4
    """How a batch is blended."""
    DROPOUT = 5
    """Which units a training step drops."""
    FOLDS = 6
    """How photos are divided into folds."""
    FOLD_SEED = 7
    """The seed that a fold trains with."""
    FOLD_VIEWS = 8
    """The augmented views on which a held-out photo is evaluated."""
    REPLAY = 9
    """The order in which cached views come back."""
    SCENE = 10
    """The scene that is composed in place of a photo."""
    TRIALS = 12
    """The settings that a search tries next."""
    RENDERED_TRAIN = 71
    """Pretraining's rendered scenes."""
    RENDERED_VAL = 72
    """Those by which pretraining is judged."""
    COLOUR_AND_ERASE = 74
    """Pretraining's augmentation of a batch."""

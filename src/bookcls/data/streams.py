"""Independent streams of random numbers, one per purpose."""

from enum import IntEnum, unique


@unique
class Stream(IntEnum):
    """Passed to numpy's generators together with the seed; changing a number changes results.

    ``bookcls.synthetic``, which does not depend on other rooms, has its own streams.
    """

    SPLIT = 1
    """Which photos are held out for validation."""
    ORDER = 2
    """Which photos are drawn in an epoch, in which order."""
    DRAW = 3
    """The seed of each draw, which decides its augmentation."""
    MIXUP = 4
    """Mixup of a batch."""
    DROPOUT = 5
    """Which units a training step drops."""
    FOLDS = 6
    """How photos are divided into folds."""
    FOLD_SEED = 7
    """The training seed of a fold."""
    FOLD_VIEWS = 8
    """The augmented views on which a held-out photo is evaluated."""
    REPLAY = 9
    """The order in which cached views are replayed."""
    SCENE = 10
    """The scene that is composed in place of a photo."""
    TRIALS = 12
    """The settings that a search proposes."""
    RENDERED_TRAIN = 71
    """Scenes rendered for pretraining."""
    RENDERED_VAL = 72
    """Scenes rendered to validate pretraining."""
    COLOUR_AND_ERASE = 74
    """Augmentation of a batch in pretraining."""

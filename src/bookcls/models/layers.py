"""Names of VGG16's layers, and what ``freeze_to`` means. No torch, so that errors come early."""

from bookcls.errors import BookclsError

CONV_INDEX = {
    "block1_conv1": 0,
    "block1_conv2": 2,
    "block2_conv1": 5,
    "block2_conv2": 7,
    "block3_conv1": 10,
    "block3_conv2": 12,
    "block3_conv3": 14,
    "block4_conv1": 17,
    "block4_conv2": 19,
    "block4_conv3": 21,
    "block5_conv1": 24,
    "block5_conv2": 26,
    "block5_conv3": 28,
}
"""Keras's name -> index into torchvision's ``vgg16().features``."""

POOL_INDEX = {f"block{i}_pool": index for i, index in enumerate((4, 9, 16, 23, 30), start=1)}
NUM_FEATURES = 31
"""Length of torchvision's ``vgg16().features``: frozen to here, the head alone trains."""

HEADS = ("gap256", "flatten256", "linear")
"""See :class:`bookcls.models.vgg16.VGG16`."""
_BY_DEPTH = sorted({**CONV_INDEX, **POOL_INDEX}.items(), key=lambda item: item[1])
NAMES = ("input", *(name for name, _ in _BY_DEPTH), "head")
"""The names that ``freeze_to`` takes, from the input up."""


def first_trained(freeze_to: str | int | None) -> int:
    """Index of the first layer of ``features`` that trains.

    The bound is exclusive, as in the 2018 study: layers before it are frozen, the named layer and
    all later ones train. A pool has nothing to train, so it means the next conv.

    Args:
        freeze_to: A name (``block4_conv1``, ``block3_pool``, ``input``, ``head``), an index into
            ``features``, or None for all layers.

    Returns:
        0 (all train) to NUM_FEATURES (the head alone).

    Raises:
        BookclsError: For any other value.
    """
    if freeze_to is None or freeze_to == "input":
        return 0
    if freeze_to == "head":
        return NUM_FEATURES
    if isinstance(freeze_to, int) and not isinstance(freeze_to, bool):
        if 0 <= freeze_to <= NUM_FEATURES:
            return freeze_to
    elif freeze_to in CONV_INDEX:
        return CONV_INDEX[freeze_to]
    elif freeze_to in POOL_INDEX:
        return POOL_INDEX[freeze_to]
    raise BookclsError(
        f"model.freeze_to={freeze_to}: choose one of {', '.join(NAMES)}, an index from 0 to "
        f"{NUM_FEATURES}, or null to train all layers."
    )


def block_of(index: int) -> int:
    """The block, 1 to 5, of a layer of ``features``."""
    return 1 + sum(index > pool for pool in POOL_INDEX.values())

"""Which device a setting means."""

import torch

from bookcls.errors import BookclsError


def device_of(accelerator: str) -> torch.device:
    """The device that a setting means.

    Raises:
        BookclsError: If this machine has none.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    wanted = {"auto": ("cuda", "mps", "cpu"), "gpu": ("cuda", "mps")}
    for name in wanted.get(accelerator, (accelerator,)):
        if there.get(name, name == "cpu"):
            return torch.device(name)
    raise BookclsError(
        f"trainer.accelerator={accelerator}: this machine has none; leave it out or give cpu."
    )

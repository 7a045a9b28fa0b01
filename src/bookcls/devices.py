"""Which device a setting means."""

import re

import torch

from bookcls.errors import BookclsError

NO_MEMORY = re.compile(
    "DefaultCPUAllocator|MPS backend out of memory|bad_alloc|could not create a (primitive|memory)"
)
"""Where torch has no exception of its own for it; the last two are C++ and oneDNN on a CPU."""


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


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch says that a device, the CPU among them, has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and NO_MEMORY.search(str(error)) is not None

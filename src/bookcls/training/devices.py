"""Which device a setting means."""

import re

import torch

from bookcls.errors import BookclsError

NO_MEMORY = re.compile(
    "DefaultCPUAllocator|MPS backend out of memory|bad_alloc|could not create a (primitive|memory)"
)
"""Where torch has no exception of its own for it; the last two are C++ and oneDNN on a CPU."""

NO_ROOM = re.compile("failed to map segment|[Cc]annot allocate memory")
"""What the loader says of a library that it has no memory for."""


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
    """Whether an error says that a device, the CPU among them, has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, ImportError):
        return NO_ROOM.search(str(error)) is not None
    return isinstance(error, RuntimeError) and NO_MEMORY.search(str(error)) is not None

"""Selects the device, and recognises out-of-memory errors."""

import re

import torch

from bookcls.errors import BookclsError

OUT_OF_MEMORY = re.compile(
    "DefaultCPUAllocator|MPS backend out of memory|bad_alloc|could not create a (primitive|memory)"
)
"""Messages of out-of-memory errors that torch raises as RuntimeError; the last two come from C++
and oneDNN on a CPU."""

LIBRARY_NOT_LOADED = re.compile("failed to map segment|[Cc]annot allocate memory")
"""Messages of the dynamic loader if there is too little memory to load a library."""


def select_device(accelerator: str) -> torch.device:
    """Selects the device for ``trainer.accelerator``.

    Args:
        accelerator: ``auto``, ``cpu``, ``gpu``, ``cuda`` or ``mps``.

    Raises:
        BookclsError: If this machine has no such device.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    candidates = {"auto": ("cuda", "mps", "cpu"), "gpu": ("cuda", "mps")}
    for name in candidates.get(accelerator, (accelerator,)):
        if available.get(name, name == "cpu"):
            return torch.device(name)
    raise BookclsError(
        f"trainer.accelerator={accelerator}: this machine has no such device; leave it out, or "
        "give cpu."
    )


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a device (or the CPU) ran out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, ImportError):
        return LIBRARY_NOT_LOADED.search(str(error)) is not None
    return isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error)) is not None

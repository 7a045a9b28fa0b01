"""Turns interruptions and failures of a training into messages that say how to resume it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bookcls.errors import BookclsError
from bookcls.models.state_dict import UNREADABLE
from bookcls.settings import DataConfig
from bookcls.training.callbacks import LineProgress
from bookcls.training.devices import ran_out_of_memory


@contextmanager
def report_interruptions(data: DataConfig, resume_command: str) -> Iterator[None]:
    """Prints how to resume after Ctrl+C, and explains a full disk or too little memory.

    Args:
        data: The data settings; batch size and image size determine how much memory is needed.
        resume_command: The command that resumes the run.

    Raises:
        BookclsError: If the device ran out of memory, or a file cannot be written.
        SystemExit: After Ctrl+C.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        # Lightning turns the first Ctrl+C into SystemExit. The program ends here, and a second
        # Ctrl+C must not cut the message off.
        with suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        print(f"stopped; resume with  {resume_command}", flush=True)
        if isinstance(stop, KeyboardInterrupt):
            raise SystemExit(130) from stop
        raise
    except OSError as error:
        # The disk is full, read-only or no longer there.
        raise BookclsError(f"{error}. Fix this, then resume with  {resume_command}") from error
    except (RuntimeError, MemoryError, ImportError) as error:
        if not ran_out_of_memory(error):
            raise
        raise BookclsError(
            f"the device ran out of memory: lower data.batch_size={data.batch_size} or "
            f"data.image_size={data.image_size}."
        ) from error


@contextmanager
def report_damaged_checkpoint(
    ckpt: Path | None, progress: LineProgress, resume_command: str
) -> Iterator[None]:
    """Names the file to delete if the checkpoint to resume from cannot be read.

    Args:
        ckpt: The checkpoint; None for a new run.
        progress: Knows whether training has started, and so whether the checkpoint was read.
        resume_command: The command that resumes the run.

    Raises:
        BookclsError: If the checkpoint is damaged or belongs to another run.
    """
    try:
        yield
    except UNREADABLE as error:
        # The file is not to blame for a full disk or too little memory.
        if (
            ckpt is None
            or progress.started
            or isinstance(error, OSError)
            or ran_out_of_memory(error)
        ):
            raise
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise BookclsError(
            f"{ckpt} is damaged ({first[0][:120]}); delete it and start the run again with  "
            f"{resume_command}"
        ) from error

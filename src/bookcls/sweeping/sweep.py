"""Hydra callbacks at the start and end of a sweep and of each of its cells."""

import os
import sys
from datetime import datetime
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from bookcls.command import messages
from bookcls.command.messages import print_error
from bookcls.environment import python_command
from bookcls.sweeping import cells


class Sweep(Callback):
    """Numbers the cells, and reports their outcomes at the end.

    Made by conf/train.yaml. Launchers carry it, as it is when the sweep begins, to the processes
    that run the cells.
    """

    def __init__(self) -> None:
        self.command = ""
        self.folder = Path()
        self.words: list[str] = []
        self.num_parallel = 1

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Lists the cells as Hydra's sweeper will."""
        self.folder = Path(config.hydra.sweep.dir).absolute()
        self.words = list_cells(config)
        launcher, total = config.hydra.launcher, len(self.words)
        together = total if "submitit_folder" in launcher else 1
        wanted = launcher.get("n_jobs") or launcher.get("array_parallelism") or together
        if wanted < 0:
            wanted += (os.cpu_count() or 1) + 1
        self.num_parallel = max(1, min(total, wanted))
        print(f"sweep    {total} cells into {config.hydra.sweep.dir}", flush=True)
        if "submitit_folder" in launcher:
            print(f"         their progress: {config.hydra.sweep.dir}/{cells.RECORD}", flush=True)
        # Last: Hydra makes a warning of an error above, and no cell may begin after one.
        self.command = f"{datetime.now().isoformat(timespec='microseconds')} {os.getpid()}"

    def on_job_start(self, config: DictConfig, **kwargs: object) -> None:
        """In the process of the cell: makes it the current one."""
        cells.current, messages.prefix = None, ""
        if not self.command:
            return  # a single run, or a sweep whose cells could not be listed
        number = config.hydra.job.num
        cells.current = cells.Cell(
            self.folder,
            self.command,
            number + 1,
            len(self.words),
            self.words[number],
            self.num_parallel,
        )
        messages.prefix = f"{cells.current}: "

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: object) -> None:
        """In the process of the cell: records its outcome."""
        cell, cells.current, messages.prefix = cells.current, None, ""
        if cell is None:
            return
        # A job of ours returns what went wrong, see bookcls.command.
        completed = job_return.status == JobStatus.COMPLETED
        error = job_return.return_value if completed else "stopped by an error"
        if error is not None:
            cell.outcome = "failed"
        cells.append_record(cell, error)

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        """Reports the outcomes of all cells.

        Raises:
            SystemExit: With code 1 if one failed, in whatever process, or nobody knows.
        """
        folder = str(config.hydra.sweep.dir)
        if not self.command:
            print_error(f"the cells of {folder} could not be listed, see the warning above.")
            sys.exit(1)
        try:
            text, complete = cells.summarise(Path(folder), self.command, len(self.words))
            print(
                f"\n{text}\nreport   {python_command()} -m bookcls.report runs={folder}", flush=True
            )
        except Exception as error:
            # Hydra would make a warning of it, and the sweep would seem to have gone well.
            complete = False
            print_error(
                f"what became of the sweep in {folder} cannot be said ({type(error).__name__}: "
                f"{error}); the same command goes on with it."
            )
        if not complete:
            sys.exit(1)


def list_cells(config: DictConfig) -> list[str]:
    """Lists the overrides of each cell, in order.

    Args:
        config: The configuration of a multirun as a whole.
    """
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides([*params, *config.hydra.overrides.task])
    # Hydra's own product, so that numbers and cells agree.
    (product,) = BasicSweeper.split_arguments(overrides, None)
    places = range(len(product[0]))
    swept = [place for place in places if len({words[place] for words in product}) > 1]
    return [" ".join(words[place] for place in swept or places) for words in product]

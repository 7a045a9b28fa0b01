"""Hydra callbacks at the start and end of a sweep and of each of its jobs."""

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
from bookcls.sweeping import jobs


class Sweep(Callback):
    """Numbers the jobs and reports their outcomes at the end.

    conf/train.yaml creates it. Launchers copy it, in its state at the start of the sweep, to the
    processes that run the jobs.
    """

    def __init__(self) -> None:
        self.command = ""
        self.folder = Path()
        self.words: list[str] = []
        self.num_parallel = 1

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Lists the jobs in the order of Hydra's sweeper."""
        self.folder = Path(config.hydra.sweep.dir).absolute()
        self.words = list_jobs(config)
        launcher, total = config.hydra.launcher, len(self.words)
        together = total if "submitit_folder" in launcher else 1
        wanted = launcher.get("n_jobs") or launcher.get("array_parallelism") or together
        if wanted < 0:
            wanted += (os.cpu_count() or 1) + 1
        self.num_parallel = max(1, min(total, wanted))
        print(f"sweep    {jobs.count_jobs(total)} into {config.hydra.sweep.dir}", flush=True)
        if "submitit_folder" in launcher:
            print(f"         their progress: {config.hydra.sweep.dir}/{jobs.RECORD}", flush=True)
        # Last, because Hydra turns an error above into a warning, and then no job may start.
        self.command = f"{datetime.now().isoformat(timespec='microseconds')} {os.getpid()}"

    def on_job_start(self, config: DictConfig, **kwargs: object) -> None:
        """Makes the job the current one of its process."""
        jobs.current, messages.prefix = None, ""
        if not self.command:
            return  # a single run, or a sweep whose jobs could not be listed
        number = config.hydra.job.num
        jobs.current = jobs.Job(
            self.folder,
            self.command,
            number + 1,
            len(self.words),
            self.words[number],
            self.num_parallel,
        )
        messages.prefix = f"{jobs.current}: "

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: object) -> None:
        """Records the outcome of the job, in its process."""
        job, jobs.current, messages.prefix = jobs.current, None, ""
        if job is None:
            return
        # The function that bookcls.command passes to Hydra returns an error message or None.
        completed = job_return.status == JobStatus.COMPLETED
        error = job_return.return_value if completed else "stopped by an error"
        if error is not None:
            job.outcome = "failed"
        jobs.append_record(job, error)

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        """Reports the outcomes of all jobs.

        Raises:
            SystemExit: With code 1 if a job failed, in any process, or its outcome is unknown.
        """
        folder = str(config.hydra.sweep.dir)
        if not self.command:
            print_error(f"the jobs of {folder} could not be listed, see the warning above.")
            sys.exit(1)
        try:
            text, complete = jobs.summarise(Path(folder), self.command, len(self.words))
            print(
                f"\n{text}\nreport   {python_command()} -m bookcls.report runs={folder}", flush=True
            )
        except Exception as error:
            # Hydra would turn it into a warning, and the sweep would seem to have succeeded.
            complete = False
            print_error(
                f"the outcome of the sweep in {folder} is unknown ({type(error).__name__}: "
                f"{error}); run the same command again to resume it."
            )
        if not complete:
            sys.exit(1)


def list_jobs(config: DictConfig) -> list[str]:
    """Lists the overrides of each job, in order.

    Args:
        config: The configuration of the whole multirun.
    """
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides([*params, *config.hydra.overrides.task])
    # Hydra's own product, so that the jobs have the same numbers.
    (product,) = BasicSweeper.split_arguments(overrides, None)
    places = range(len(product[0]))
    swept = [place for place in places if len({words[place] for words in product}) > 1]
    return [" ".join(words[place] for place in swept or places) for words in product]

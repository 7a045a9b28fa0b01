"""A Hydra callback that checks the output folder before anything is written."""

import sys
from pathlib import Path

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from bookcls.command.messages import print_error
from bookcls.errors import BookclsError
from bookcls.storage.folders import refuse_hard_links, refuse_links


class OwnFolder(Callback):
    """Refuses an output folder that contains links to outside.

    Created by the conf/ of verbs that write a run folder. A check in the job would come too late,
    since Hydra writes to the folder first.
    """

    def on_run_start(self, config: DictConfig, **kwargs: object) -> None:
        """Checks the run folder."""
        refuse(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Checks the folder of the sweep, including its runs."""
        refuse(Path(config.hydra.sweep.dir))


def refuse(folder: Path) -> None:
    """Exits if a folder contains links to outside.

    Raises:
        SystemExit: With code 1; Hydra would turn an exception into a warning.
    """
    try:
        refuse_links(folder)
        refuse_hard_links(folder)
    except (BookclsError, OSError) as error:
        print_error(error)
        sys.exit(1)

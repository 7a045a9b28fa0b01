"""What Hydra calls before a verb's job, and before it writes anything."""

import sys
from pathlib import Path

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from bookcls.command.messages import print_error
from bookcls.errors import BookclsError
from bookcls.files import refuse_hard_links, refuse_links


class OwnFolder(Callback):
    """Refuses a folder for results in which anything leads elsewhere.

    Made by the conf/ of verbs that write a run folder. The job would be too late: Hydra has written
    into the folder by then.
    """

    def on_run_start(self, config: DictConfig, **kwargs: object) -> None:
        """Looks at the run folder."""
        refuse(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Looks at the sweep's folder, and at the runs in it."""
        refuse(Path(config.hydra.sweep.dir))


def refuse(folder: Path) -> None:
    """Ends the program if anything in a folder leads elsewhere.

    Raises:
        SystemExit: With code 1; Hydra would make a warning of an error.
    """
    try:
        refuse_links(folder)
        refuse_hard_links(folder)
    except (BookclsError, OSError) as error:
        print_error(error)
        sys.exit(1)

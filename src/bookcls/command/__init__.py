"""The command line of every verb: Hydra's words become typed settings, errors become sentences."""

from bookcls.command.job import verb
from bookcls.command.overrides import resumed

__all__ = ["fit", "messages", "overrides", "own_folder", "resumed", "terminal", "verb"]

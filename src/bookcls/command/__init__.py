"""The command line of every verb: Hydra configurations become typed settings, errors messages."""

from bookcls.command.job import verb
from bookcls.command.overrides import expand_resume

__all__ = [
    "expand_resume",
    "fallback",
    "fit",
    "messages",
    "overrides",
    "own_folder",
    "terminal",
    "verb",
]

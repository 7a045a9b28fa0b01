"""The one exception that a user is meant to read."""


class BookclsError(Exception):
    """Something that the user can put right; its message says what, where and how.

    The verbs print the message without a traceback and exit with code 1.
    """


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Checks a setting against its choices.

    Raises:
        BookclsError: If ``value`` is none of ``choices``.
    """
    if value not in choices:
        raise BookclsError(f"{name}={value}: choose one of {', '.join(choices)}.")

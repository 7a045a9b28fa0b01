"""The exception whose message is shown to the user."""


class BookclsError(Exception):
    """An error that the user can fix; its message says what is wrong, where, and how to fix it.

    The verbs print the message without a traceback and exit with code 1.
    """


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Checks that a setting is one of its choices.

    Raises:
        BookclsError: If it is not.
    """
    if value not in choices:
        several = " (-m tries several values)" if "," in str(value) else ""
        raise BookclsError(f"{name}={value}: choose one of {', '.join(choices)}{several}.")

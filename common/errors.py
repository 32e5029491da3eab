"""The one exception that a user's mistake raises."""


class InputError(ValueError):
    """Bad input: its message names the file, the value, what is wrong and the next step.

    Commands print it as `error: ...` and exit with status 2; nothing else is shown.
    """

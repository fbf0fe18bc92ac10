"""The three errors a user can cause; the command line turns each into one line and an exit code."""

LONGEST = 1000  # characters of a message; a damaged file can hold a value of any length


class _UserError(Exception):
    """Its message is cut in the middle where it is too long to be read."""

    def __init__(self, message: object = "") -> None:
        text = str(message)
        super().__init__(
            text if len(text) <= LONGEST else f"{text[: LONGEST * 2 // 3]} … {text[-LONGEST // 4 :]}"
        )


class UsageError(_UserError):
    """A wrong flag or setting: the program cannot start.  Exit code 2."""

    exit_code = 2


class DataError(_UserError):
    """A file is missing, unreadable, corrupt or of the wrong kind.  Exit code 1."""

    exit_code = 1


class BusyError(_UserError):
    """Another process holds the folder.  Exit code 1."""

    exit_code = 1

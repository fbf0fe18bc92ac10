"""The three errors a user can cause; the command line turns each into one line and an exit code."""


class UsageError(Exception):
    """A wrong flag or setting: the program cannot start.  Exit code 2."""

    exit_code = 2


class DataError(Exception):
    """A file is missing, unreadable, corrupt or of the wrong kind.  Exit code 1."""

    exit_code = 1


class BusyError(Exception):
    """Another process holds the folder.  Exit code 1."""

    exit_code = 1

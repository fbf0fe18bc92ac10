"""What the user's mistakes and the system's refusals become: one line on standard error and an exit code."""

import os
import sys
from collections.abc import Callable

from clrepro.errors import BusyError, DataError, UsageError
from clrepro.io.paths import cannot
from clrepro.io.terminal_text import visible


def guarded(program: Callable[[], int]) -> int:
    """The exit code of `program()`; the user's errors become one line on stderr and their own code, and so do
    a file that the system refuses and a standard output that takes no more (disk full) or is closed.
    """
    _open_stderr()
    if sys.stdout is None:  # closed (`>&-`): the next file that is opened would get what others print
        print("error: standard output: is closed; send it to a file or /dev/null", file=sys.stderr)
        return 1
    try:
        try:
            return program()
        finally:
            sys.stdout.flush()  # else a full disk shows when Python ends, with its own words and code 120
    except (UsageError, DataError, BusyError) as problem:
        print(f"error: {visible(' '.join(str(problem).split()))}", file=sys.stderr)
        return problem.exit_code
    except BrokenPipeError:  # the reader of our output, e.g. `head`, has seen enough
        _forget_output()
        return 0
    except OSError as problem:
        if problem.filename is not None:
            print(f"error: {visible(cannot(problem, _name(problem.filename)))}", file=sys.stderr)
            return 1
        if not _output_is_lost():
            raise
        _forget_output()
        lost = f"standard output: cannot be written ({problem.strerror}); files finished before are kept"
        print(f"error: {lost}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _name(file: object) -> str:
    """A file of an OSError in words; names of thousands of characters are cut."""
    name = os.fsdecode(file) if isinstance(file, str | bytes | os.PathLike) else f"file number {file}"
    return name if len(name) <= 300 else f"{name[:200]} … {name[-60:]}"


def _open_stderr() -> None:
    """Let a closed standard error go nowhere: Python would print our errors among the results."""
    if sys.stderr is None:
        number = os.open(os.devnull, os.O_WRONLY)
        sys.stderr = os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace")


def _output_is_lost() -> bool:
    """Whether standard output takes nothing more."""
    try:
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), b"\n")  # an unbuffered output has forgotten what failed
    except OSError:
        return True
    return False


def _forget_output() -> None:
    """Let what is left in the buffer go nowhere: it would fail again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

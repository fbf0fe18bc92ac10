"""What the papers' own programs share: mistakes end in one line and an exit code."""

import contextlib
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NoReturn

from clrepro import cli
from clrepro.cli import guarded
from clrepro.errors import DataError, UsageError
from clrepro.io.strict_json import Visible

OUT_OF_MEMORY = re.compile(r"allocate memory|out of memory", re.IGNORECASE)


class Parser(cli.Parser):
    """argparse, but a wrong flag raises UsageError, so that every program reports it in one way."""

    def error(self, message: str) -> NoReturn:
        """Raises: UsageError with argparse's reason and the program's name."""
        raise UsageError(f"{message}; python {self.prog} --help lists the flags")


def exit_code(
    program: Callable[[Sequence[str] | None], None],
    argv: Sequence[str] | None,
    *,
    paper: str,
    packages: Collection[str],
) -> int:
    """Run a program; returns 0, 2 for a wrong command line, 1 for missing or damaged files and packages, for
    sizes that no memory holds, and for losses that are no numbers.

    Args: paper — folder name, like the distribution's extra; packages — what that extra brings.
    """

    def run() -> int:
        try:
            program(argv)
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] not in packages:
                raise  # our own mistake
            extra = paper.replace("_", "-")  # the pip that comes with Python 3.11 knows no other spelling
            raise DataError(
                f"{missing}; run 'pip install -e .[{extra}]' in the repository, or 'nox -s env-{paper}'"
            ) from None
        except FloatingPointError as problem:  # what a loop raises when its loss is no number any more
            raise DataError(str(problem)) from None
        except (MemoryError, RuntimeError) as error:  # torch has no error of its own for this
            if isinstance(error, RuntimeError) and not OUT_OF_MEMORY.search(str(error)):
                raise
            reason = str(error).strip().splitlines() or ["out of memory"]
            raise DataError(f"not enough memory ({reason[0][:160]}); ask for smaller sizes") from None
        return 0

    with _visible_output():
        return guarded(run)


@contextlib.contextmanager
def _visible_output() -> Iterator[None]:
    """Within the block nothing that is printed steers the terminal: names of files and of what is in them,
    such as methods, come from others.
    """
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (each if each is None else Visible(each) for each in streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams

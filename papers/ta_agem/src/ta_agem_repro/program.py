"""What the programs of this paper share: mistakes end in one line and an exit code."""

import argparse
from collections.abc import Callable, Sequence
from typing import NoReturn

from clrepro.cli import guarded
from clrepro.errors import DataError, UsageError

# What the distribution's extra `ta_agem` brings.
EXTRA = {"torch", "numba", "threadpoolctl", "yaml", "plotly", "mlflow", "sklearn"}


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong flag raises UsageError, so that every door reports it in one way."""

    def error(self, message: str) -> NoReturn:
        """Raises: UsageError with argparse's reason and the program's name."""
        raise UsageError(f"{message}; python {self.prog} --help lists the flags")


def exit_code(program: Callable[[Sequence[str] | None], None], argv: Sequence[str] | None) -> int:
    """Run a program; returns 0, 2 for a wrong command line, 1 for missing or damaged files and packages."""

    def run() -> int:
        try:
            program(argv)
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] not in EXTRA:
                raise  # our own mistake
            raise DataError(
                f"{missing}; run 'pip install -e .[ta-agem]' in the repository, or 'nox -s env-ta_agem'"
            ) from None
        return 0

    return guarded(run)

"""What the papers' programs share: from the words of a command line to files and a record.

Mistakes end in one line and an exit code; a sweep runs the same code, with what it prints in its log.
"""

import contextlib
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from clrepro import arguments
from clrepro.checkout import install_hint
from clrepro.errors import DataError, UsageError
from clrepro.exit_codes import guarded
from clrepro.io.checkpoint import RunDir
from clrepro.io.terminal_text import Visible
from clrepro.records import Outcome

OUT_OF_MEMORY = re.compile(r"allocate memory|out of memory", re.IGNORECASE)


class Parser(arguments.Parser):
    """argparse, but a wrong flag raises UsageError, so that every program reports it in one way."""

    def error(self, message: str) -> NoReturn:
        """Raises: UsageError with argparse's reason and the program's name."""
        raise UsageError(f"{message}; python {self.prog} --help lists the flags")


@dataclass(frozen=True)
class Program:
    """One command line of a paper.

    Attributes: name — the file that a command names, relative to the paper's folder; paper — its folder, like
        the distribution's extra; packages — what that extra brings; parse — words to settings, UsageError for
        wrong ones; run — does what the settings say and writes the original's files; job — does it for a
        sweep: settings and a folder for checkpoints to what the run record keeps; None if no sweep runs it.
    """

    name: str
    paper: str
    packages: frozenset[str]
    parse: Callable[[Sequence[str] | None], Any]
    run: Callable[[Any], None]
    job: Callable[[Any, RunDir], Outcome] | None = None

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run it; returns the exit code: 2 for a wrong command line, 1 for missing or damaged files."""
        return exit_code(
            lambda words: self.run(self.parse(words)), argv, paper=self.paper, packages=self.packages
        )


def run_command(programs: Sequence[Program], argv: Sequence[str], work_dir: Path) -> Outcome:
    """Run a command of a profile, argv[0] being the program; what it prints goes to standard error.

    Args: work_dir — the job's own folder, for checkpoints.
    Raises: UsageError or DataError, as the program itself would report them.
    """
    known = {each.name: each for each in programs if each.job is not None}
    name, *words = argv
    if name not in known:
        raise UsageError(f"{name!r} is not a program of this paper; {', '.join(known)}")
    program = known[name]
    assert program.job is not None
    with contextlib.redirect_stdout(sys.stderr):
        return program.job(program.parse(words), RunDir(work_dir))


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
            raise DataError(
                f"{missing}; run {install_hint(paper)}, or 'nox -s env-{paper}' in a checkout"
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

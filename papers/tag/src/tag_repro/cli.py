"""The entry point of a sweep's jobs: which program a profile's command means."""

from collections.abc import Sequence
from pathlib import Path

from clrepro.errors import UsageError
from clrepro.records import Outcome
from tag_repro.stable_sgd import cli as stable_cli
from tag_repro.tag import cli as tag_cli
from tag_repro.tensorflow import cli as tf_cli


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Run one command of a profile inside a worker; argv[0] is the program, relative to the paper's folder.

    Raises: UsageError or DataError, as the program itself would report them.
    """
    programs = {stable_cli.PROGRAM: stable_cli.run_program, tag_cli.PROGRAM: tag_cli.run_program}
    programs |= dict.fromkeys(tf_cli.PROGRAMS, tf_cli.run_program)
    if argv[0] not in programs:
        raise UsageError(f"{argv[0]!r} is not a program of a profile; {', '.join(programs)}")
    return programs[argv[0]](argv, work_dir=work_dir)

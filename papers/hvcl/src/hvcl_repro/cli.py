"""The entry point of a sweep's jobs, for every program of this paper."""

from collections.abc import Sequence
from pathlib import Path

from clrepro.errors import UsageError
from clrepro.records import Outcome
from hvcl_repro.baselines import cli as baselines
from hvcl_repro.rl import cli as rl
from hvcl_repro.supervised import cli as supervised

PROGRAMS = {module.PROGRAM: module.run_program for module in (supervised, rl, baselines)}


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Run one command of a profile, argv[0] being the program.  Raises: UsageError for an unknown one."""
    if argv[0] not in PROGRAMS:
        raise UsageError(f"program {argv[0]!r}: one of {', '.join(PROGRAMS)}")
    outcome: Outcome = PROGRAMS[argv[0]](argv, work_dir=work_dir)
    return outcome

"""The entry point of a sweep's jobs, for every program of this paper."""

from collections.abc import Sequence
from pathlib import Path

from clrepro.program import run_command
from clrepro.records import Outcome
from hvcl_repro.baselines import cli as baselines
from hvcl_repro.rl import cli as rl
from hvcl_repro.supervised import cli as supervised


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Run one command of a profile inside a worker; see `clrepro.program.run_command`."""
    return run_command((supervised.MAIN, rl.MAIN, baselines.MAIN), argv, work_dir)

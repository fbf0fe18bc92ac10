"""The entry point of a sweep's jobs: which program a profile's command means."""

from collections.abc import Sequence
from pathlib import Path

from clrepro.program import run_command
from clrepro.records import Outcome
from tag_repro.stable_sgd import cli as stable_sgd
from tag_repro.tag import cli as tag
from tag_repro.tensorflow import cli as tensorflow

PROGRAMS = (stable_sgd.MAIN, tag.MAIN, *tensorflow.PROGRAMS.values())


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Run one command of a profile inside a worker; see `clrepro.program.run_command`."""
    return run_command(PROGRAMS, argv, work_dir)

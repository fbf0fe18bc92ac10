"""The `cl-repro` command: `parser` its arguments, and a module with one `run(...)` for every command.

Nothing heavy is imported before the arguments are parsed, so `--help` and usage errors come at once.
"""

import importlib
import os
from collections.abc import Callable, Sequence

from clrepro.cli.parser import make_parser
from clrepro.exit_codes import guarded
from clrepro.threads import ONE_THREAD


def main(argv: Sequence[str] | None = None) -> int:
    """Run `cl-repro` with `argv` (default: the process's).  Returns: the exit code."""
    return guarded(lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    args = make_parser().parse_args(argv)
    return _run(args.command, {name: value for name, value in vars(args).items() if name != "command"})


def _run(command: str, words: dict[str, object]) -> int:
    if words.get("executor") == "serial":  # its jobs run here, and numpy reads this when it is imported
        os.environ.update(ONE_THREAD)
    program: Callable[..., int] = importlib.import_module(f"clrepro.cli.{command}").run
    return program(**words)

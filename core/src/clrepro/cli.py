"""The `cl-repro` command, and the argument types and error handling that the papers' own commands share.

Nothing heavy is imported before the arguments are parsed, so `--help` and usage errors come at once.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from clrepro import __version__
from clrepro.errors import BusyError, DataError, UsageError
from clrepro.io.paths import cannot, is_dir, is_file
from clrepro.io.strict_json import visible
from clrepro.threads import ONE_THREAD

MAX_WORKERS = 1000  # processes of one machine


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Print `error: <message>; see --help` and exit."""
        self.exit(2, f"error: {visible(message)}; see {self.prog} --help\n")

    def print_help(self, file: Any = None) -> None:
        """Print the help; unlike argparse's own this does not hide that it could not be written."""
        print(self.format_help(), end="", file=file)


def choice(*allowed: str) -> Callable[[str], str]:
    """An argument type for one of `allowed`; the error lists them."""

    def read(text: str) -> str:
        if text in allowed:
            return text
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(allowed)}")

    return read


def yes_no(text: str) -> bool:
    """The truth of "yes" or "no"."""
    return choice("yes", "no")(text) == "yes"


def true_false(text: str) -> bool:
    """The truth of "true" or "false", in any case."""
    return choice("true", "false")(text.lower()) == "true"


def integer(text: str) -> int:
    """An integer in decimal digits."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:200]!r} is not an integer") from None


def non_negative_int(text: str) -> int:
    """An integer >= 0."""
    if (value := integer(text)) < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative; it must be >= 0")
    return value


def positive_int(text: str) -> int:
    """An integer >= 1."""
    if (value := integer(text)) < 1:
        raise argparse.ArgumentTypeError(f"{value} is too small; it must be >= 1")
    return value


def n_workers(text: str) -> int:
    """A number of processes, from 1 to 1000."""
    if (value := positive_int(text)) > MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"{value} is too many; at most {MAX_WORKERS} run at a time here")
    return value


def finite_float(text: str) -> float:
    """A number that is neither nan nor infinite."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if value - value != 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def non_negative_float(text: str) -> float:
    """A finite number >= 0."""
    if (value := finite_float(text)) < 0:
        raise argparse.ArgumentTypeError(f"{value:g} is negative; it must be >= 0")
    return value


def positive_float(text: str) -> float:
    """A finite number > 0."""
    if (value := finite_float(text)) <= 0:
        raise argparse.ArgumentTypeError(f"{value:g} is too small; it must be > 0")
    return value


def existing_dir(text: str) -> Path:
    """The path of a folder that exists."""
    return _looked_at(text, is_dir, "a folder")


def existing_file(text: str) -> Path:
    """The path of a file that exists."""
    return _looked_at(text, is_file, "a file")


def _looked_at(text: str, test: Callable[[Path], bool], what: str) -> Path:
    try:
        good = test(Path(text))
    except DataError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    if not good:
        raise argparse.ArgumentTypeError(f"{text[:200]!r} is not {what}")
    return Path(text)


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


def main(argv: Sequence[str] | None = None) -> int:
    """Run `cl-repro` with `argv` (default: the process's).  Returns: the exit code."""
    return guarded(lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    return _run(args.command, {name: value for name, value in vars(args).items() if name != "command"})


def _run(command: str, words: dict[str, object]) -> int:
    import importlib

    if words.get("executor") == "serial":  # its jobs run here, and numpy reads this when it is imported
        os.environ.update(ONE_THREAD)
    program: Callable[..., int] = importlib.import_module(f"clrepro.commands.{command}").run
    return program(**words)


def _parser() -> Parser:
    parser = Parser(
        prog="cl-repro",
        description="Reproduce the tables of the papers in this checkout, report them and check them.",
        epilog="First steps: cl-repro list · cl-repro reproduce mer · cl-repro report --open",
    )
    parser.add_argument("--version", action="version", version=f"cl-repro {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    _add(commands, "list", "the papers, their profiles, how many runs and how long they take")
    _add_data(commands)
    _add_reproduce(commands)
    _add_sweep(commands)
    _add_report(commands)
    _add_check(commands)
    doctor = _add(
        commands, "doctor", "look at this machine and installation; one line per finding, with the cure"
    )
    _add_out(doctor)
    return parser


def _add(commands: "argparse._SubParsersAction[Parser]", name: str, text: str) -> Parser:
    return commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")


def _add_out(parser: Parser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="folder of all results (default: results)",
    )


def _add_data(commands: "argparse._SubParsersAction[Parser]") -> None:
    data = _add(commands, "data", "which data sets are where, with their checksums verified")
    data.add_argument(
        "--data_dir", type=existing_dir, metavar="DIR", help="look here instead of the usual places"
    )
    actions = data.add_subparsers(dest="action", metavar="get", parser_class=Parser)
    get = actions.add_parser(
        "get", help="download a data set", description="Download a data set into the cache."
    )
    get.add_argument("name", metavar="NAME", help="as `cl-repro data` lists it")
    data.set_defaults(name=None)


def _add_reproduce(commands: "argparse._SubParsersAction[Parser]") -> None:
    reproduce = _add(
        commands, "reproduce", "run what a profile lists and print the table; finished runs are not repeated"
    )
    reproduce.add_argument("paper", metavar="PAPER", help="a paper's folder name, or 'all'")
    reproduce.add_argument(
        "--profile", default="quick", help="quick (minutes, default) or full (the paper's protocol)"
    )
    reproduce.add_argument(
        "--only", metavar="GLOB", help="only rows whose setting/method matches, e.g. 'rot*/mer*'"
    )
    reproduce.add_argument(
        "--seeds", type=positive_int, metavar="N", help="seeds per row (default: the profile's)"
    )
    reproduce.add_argument(
        "--jobs", type=n_workers, metavar="N", help="runs at a time (default: one per core)"
    )
    _add_out(reproduce)
    reproduce.add_argument(
        "--data_dir",
        type=existing_dir,
        metavar="DIR",
        help="where your data sets are (default: $CL_REPRO_DATA)",
    )
    reproduce.add_argument(
        "--executor",
        type=choice("processes", "serial"),
        default="processes",
        help="processes (default), or serial: in this process, for debugging",
    )


def _add_sweep(commands: "argparse._SubParsersAction[Parser]") -> None:
    sweep = _add(commands, "sweep", "run a sweep file: rows of several papers, grids, here or on a cluster")
    sweep.add_argument("spec", type=existing_file, metavar="SPEC.toml", help="see docs/scale.md")
    sweep.add_argument(
        "--executor",
        type=choice("serial", "processes", "ray"),
        default="processes",
        help="processes (default) of this machine, serial: in this process, or ray: a cluster",
    )
    sweep.add_argument("--address", metavar="HOST:PORT", help="the Ray cluster (default: a new one, here)")
    sweep.add_argument(
        "--jobs", type=n_workers, metavar="N", help="runs at a time (default: one per core)"
    )
    sweep.add_argument(
        "--out", default="results", metavar="DIR|URL", help="folder, or fsspec URL such as s3://bucket/runs"
    )
    sweep.add_argument(
        "--store_patience",
        type=non_negative_float,
        default=180.0,
        metavar="SECONDS",
        help="how long an address that stops answering is asked again before the sweep ends (default: 180)",
    )
    sweep.add_argument("--data_dir", type=existing_dir, metavar="DIR", help="where your data sets are")
    sweep.add_argument("--shard", metavar="K/N", help="run only part K (from 0) of N, beside the others")
    sweep.add_argument(
        "--show-jobs", action="store_true", dest="show_jobs", help="print the jobs, a JSON line each, and end"
    )
    sweep.add_argument("--slurm", type=Path, metavar="FILE", help="write an array script for sbatch and end")


def _add_report(commands: "argparse._SubParsersAction[Parser]") -> None:
    report = _add(commands, "report", "write the tables and the pages of <out>/report.html from the records")
    _add_out(report)
    report.add_argument(
        "--records", type=existing_dir, nargs="+", default=[], metavar="DIR", help="read these folders too"
    )
    report.add_argument("--open", action="store_true", dest="show", help="show the page in the browser")
    report.add_argument(
        "--update-readmes",
        action="store_true",
        dest="into_readmes",
        help="rewrite the tables in the README files",
    )


def _add_check(commands: "argparse._SubParsersAction[Parser]") -> None:
    check = _add(
        commands, "check", "compare the quick records with ci/baselines; exit code 1 if results changed"
    )
    check.add_argument("paper", metavar="PAPER", help="a paper's folder name, or 'all'")
    _add_out(check)
    check.add_argument("--update", action="store_true", help="make the records the new baseline")


if __name__ == "__main__":
    raise SystemExit(main())

"""The parser of all commands and programs, and the types of their arguments: one line for a wrong value."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from clrepro.errors import DataError
from clrepro.io.paths import is_dir, is_file
from clrepro.io.terminal_text import visible

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

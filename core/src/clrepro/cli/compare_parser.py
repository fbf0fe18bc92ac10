"""The arguments of `cl-repro compare`."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clrepro.arguments import Parser, choice, existing_file, integer, n_workers, positive_float, positive_int

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Parser]

EPILOG = """First steps: cl-repro compare --stream permutations · cl-repro compare new my_method.py ·
cl-repro compare --method my_method.py:Mine --stream rotations · docs/compare.md"""


def names(text: str) -> list[str]:
    """An argument type: words between commas."""
    return [word for word in text.split(",") if word]


def add_compare(commands: "Commands", add: Callable[["Commands", str, str], Parser]) -> None:
    """Add the command, its flags and its actions."""
    compare = add(commands, "compare", "train methods on the same streams, and yours beside them")
    compare.epilog = EPILOG
    compare.add_argument(
        "--stream", type=names, metavar="NAME,...", help="permutations,rotations (default); see compare ls"
    )
    compare.add_argument(
        "--methods", type=names, metavar="NAME,...",
        help="only these; all (default: all, of the quick profile those that this Python runs)",
    )  # fmt: skip
    compare.add_argument(
        "--method", action="append", metavar="FILE.py:CLASS", help="your own method; may be given again"
    )
    compare.add_argument("--against", metavar="NAME", help="whose verdict is told (default: yours, else er)")
    compare.add_argument(
        "--rows", type=choice("default", "tuned", "all"), default="default",
        help="options: each method's own (default), tuned ones, or all",
    )  # fmt: skip
    compare.add_argument(
        "--profile", type=choice("quick", "full"), default="quick",
        help="quick (embedded digits, minutes, default) or full (MNIST, hours)",
    )  # fmt: skip
    compare.add_argument("--seeds", type=positive_int, metavar="N", help="seeds (quick: 3, full: 10)")
    compare.add_argument("--jobs", type=n_workers, metavar="N", help="runs at a time (default: one per core)")
    compare.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    compare.add_argument("--dry-run", action="store_true", help="print the runs and their hours, and end")
    compare.add_argument(
        "--fresh", action="store_true", help="train all methods anew, also those whose records are shipped"
    )
    compare.add_argument(
        "--records", type=existing_file, metavar="FILE",
        help="records.jsonl of the same streams, so that these runs need not be made",
    )  # fmt: skip
    compare.add_argument(
        "--budget", type=positive_float, default=3600.0, metavar="SECONDS", help="of training, for each run"
    )
    compare.add_argument(
        "--executor", type=choice("processes", "serial", "ray"), default="processes", help="as of sweep"
    )
    compare.add_argument("--address", metavar="HOST:PORT", help="the Ray cluster (default: a new one, here)")
    for flag, name, text in (
        ("--tasks", "n_tasks", "tasks"), ("--examples", "examples", "training examples of each task"),
        ("--memory", "memory", "examples of old tasks that a method may keep"),
        ("--epochs", "epochs", "passes over each task"),
    ):  # fmt: skip
        text += " (default: the profile's)"
        compare.add_argument(flag, dest=name, type=integer, metavar="N", help=text)
    _add_actions(compare)


def _add_tune(actions: "Commands") -> None:
    tune = actions.add_parser("tune", help="choose options among random draws by the stated rules")
    tune.add_argument("--stream", type=names, required=True, metavar="NAME,...", help="see compare ls")
    tune.add_argument("--methods", type=names, metavar="NAME,...", help="which of ours")
    tune.add_argument("--method", action="append", metavar="FILE.py:CLASS", help="your own")
    tune.add_argument("--rule", type=names, metavar="NAME,...", help="first-tasks, transfer (default: both)")
    tune.add_argument("--draws", type=positive_int, default=20, metavar="K", help="default: 20")
    tune.add_argument("--profile", type=choice("quick", "full"), default="quick", help="sizes of the stream")
    tune.add_argument("--jobs", type=n_workers, metavar="N", help="runs at a time (default: one per core)")
    tune.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    tune.add_argument("--budget", type=positive_float, default=3600.0, metavar="SECONDS", help="of each run")


def _add_actions(compare: Parser) -> None:
    compare.set_defaults(action=None)
    actions = compare.add_subparsers(dest="action", metavar="ACTION", parser_class=Parser)
    actions.add_parser("ls", help="the methods and the streams")
    new = actions.add_parser("new", help="write a working method to start from")
    new.add_argument("file", type=Path, metavar="FILE.py")
    check = actions.add_parser("check", help="run random cells of the committed tables again and compare")
    check.add_argument("--cells", type=positive_int, default=3, metavar="N", help="how many (default: 3)")
    check.add_argument("--pick", type=integer, metavar="SEED", help="which (default: others every time)")
    check.add_argument(
        "--profile", type=choice("quick", "full"), default=None, help="of this profile (default: of both)"
    )
    _add_tune(actions)
    validate = actions.add_parser("validate", help="see whether a method keeps the rules, in seconds")
    validate.add_argument("name", metavar="FILE.py:CLASS", help="or a method's name")

"""`read_pickle.py`: what a result file holds, in text and in eight figures."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import make_folder
from clrepro.settings import add_flags, given, option
from ta_agem_repro import reader
from ta_agem_repro.pages import write_page
from ta_agem_repro.program import Parser, Program

FIGURES = (
    "individual_accuracies", "accuracy_heatmap", "epoch_losses", "batch_losses", "training_times",
    "memory_efficiency", "dashboard", "oldest_task_ids",
)  # fmt: skip
RESULTS = Path("test_results")
MOST_NAME = 4096  # characters of a path, as Linux has it


@dataclass(frozen=True)
class Command:
    """A command line: the file, None if it is to be asked for; figures to open; a folder to write them to."""

    file: str | None = None
    show: tuple[str, ...] = ()
    save_dir: str | None = option(None, "write the figures there, <stem>_<name>.html")


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the program."""
    out = Parser(
        prog="read_pickle.py",
        description="Show a result file.  Without FILE it takes the first line of its input; in a terminal it"
        " asks for one and opens all figures.",
    )
    out.add_argument("file", nargs="?", metavar="FILE", help=f"name in {RESULTS}/, or a path (.pkl or .json)")
    out.add_argument(
        "--show", nargs="+", choices=(*FIGURES, "all"), metavar="NAME", default=[],
        help=f"open figures in the browser: all, or of {', '.join(FIGURES)}",
    )  # fmt: skip
    add_flags(out, Command)
    return out


def parse(argv: Sequence[str] | None) -> Command:
    """Returns what a command line says; of figures that are named twice, or as "all", each once."""
    flags = vars(parser().parse_args(argv))
    named = FIGURES if "all" in flags["show"] else tuple(dict.fromkeys(flags["show"]))
    return Command(**given(Command, flags) | {"show": named})


def run(command: Command) -> None:
    """Print what a file holds; open or write its figures.

    Raises: DataError for a file that cannot be read or holds anything but plain values.
    """
    asked = command.file is None and sys.stdin.isatty()
    path = find(ask() if command.file is None else command.file)
    # The file that was named is looked at itself, whatever lies beside it.
    held = reader.raw(path) if path.suffix != ".json" else None
    read = reader.read(path)
    print("\n".join([*(keys(path, held) if held is not None else []), *summary(read)]))
    wanted = command.show
    if asked and not wanted and command.save_dir is None:
        wanted = FIGURES
    if not wanted and command.save_dir is None:
        print(f"figures: --show NAME … opens, --save_dir DIR writes: {', '.join(FIGURES)}")
        return
    drawn = figures(read)
    if command.save_dir is not None:
        folder = make_folder(Path(command.save_dir))
        for name in wanted or FIGURES:
            target = folder / f"{path.stem}_{name}.html"
            write_page(drawn[name], target, read)
            print(f"written: {target}")
        if not command.show:
            return
    for name in wanted:
        drawn[name].show()


def ask() -> str:
    """Returns the file name typed at the prompt, or the first line of what is piped in.

    Raises: UsageError if there is none.
    """
    if sys.stdin.isatty():
        print(f"Result file (in {RESULTS}/, or a path): ", end="", flush=True)
    name = sys.stdin.readline(MOST_NAME).strip()
    if not name:
        raise UsageError("no file name; read_pickle.py FILE")
    return name


def find(name: str) -> Path:
    """Returns test_results/<name> if there is such a file, else the path itself.

    Raises: DataError if neither exists.
    """
    for path in (RESULTS / name, Path(name)):
        if path.is_file():
            return path
    raise DataError(f"{name}: no such file, neither in {RESULTS}/ nor as a path")


def figures(run: reader.Run) -> Mapping[str, Any]:
    """Returns the plotly figures by name."""
    from ta_agem_repro.figures import build

    return build(run)


def keys(path: Path, held: Mapping[str, Any]) -> list[str]:
    """Returns the keys of a pickle with the types of their values, as repr, so that no text in a file can
    steer the terminal.
    """
    out = [f"{path}: {len(held)} keys"]
    for key, value in held.items():
        kind = type(value).__name__
        if isinstance(value, list | tuple | dict | set):
            kind += f" of {len(value)}"
            if isinstance(value, list | tuple) and value:
                kind += f", first a {type(value[0]).__name__}"
        out.append(f"  {key!r}: {kind}")
    return out


def summary(run: reader.Run) -> list[str]:
    """Returns parameters, numbers and extent of a run."""
    out = ["params:", *[f"  {key!r}: {value!r}" for key, value in sorted(run.params.items())]]
    if not run.params:
        out[0] = "params: none in this file"
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in run.metrics().items())
    out.append(
        f"evaluations: {len(run.epochs)}, tasks in order: {', '.join(map(str, run.task_order)) or '?'}"
    )
    out.append(f"batches: {len(run.batch_loss)}, frames of oldest tasks: {len(run.tracking)}")
    out.append(f"samples in memory at the end: {run.epochs[-1].memory_size}")
    out.append(f"metrics (fractions): {metrics}")
    if run.source == "json":
        out.append(f"numbers from {run.path.with_suffix('.json').name} and .npz")
    if run.rebuilt:
        out.append(f"not in the file, made from its other contents or its name: {', '.join(run.rebuilt)}")
    return out


MAIN = Program("read_pickle.py", parse=parse, run=run)
main = MAIN.main

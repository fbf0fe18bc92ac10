"""The arguments of every command of `cl-repro`."""

import argparse
from pathlib import Path

from clrepro import __version__
from clrepro.arguments import (
    Parser,
    choice,
    existing_dir,
    existing_file,
    n_workers,
    non_negative_float,
    positive_int,
)
from clrepro.cli.compare_parser import add_compare


def make_parser() -> Parser:
    """Returns the parser of all commands."""
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
    add_compare(commands, _add)
    _add_report(commands)
    _add_check(commands)
    _add_records(commands)
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
        type=choice("serial", "processes", "ray", "slurm"),
        default="processes",
        help="processes (default) of this machine, serial: in this process, or a cluster: ray, slurm",
    )
    sweep.add_argument("--address", metavar="HOST:PORT", help="the Ray cluster (default: a new one, here)")
    sweep.add_argument("--jobs", type=n_workers, metavar="N", help="runs at a time (default: one per core)")
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
    sweep.add_argument(
        "--follow", action="store_true", help="slurm: watch the array that an earlier call has submitted"
    )
    sweep.add_argument("--slurm", type=Path, metavar="FILE", help="write an array script for sbatch and end")


def _add_report(commands: "argparse._SubParsersAction[Parser]") -> None:
    report = _add(commands, "report", "write the tables and the pages of <out>/report.html from the records")
    _add_out(report)
    report.add_argument(
        "--records", type=existing_dir, nargs="+", default=[], metavar="DIR", help="read these folders too"
    )
    report.add_argument(
        "--metric", metavar="NAME", help="print this metric of all records from their matrices, and end"
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


def _add_records(commands: "argparse._SubParsersAction[Parser]") -> None:
    records = _add(commands, "records", "keep a profile's records in one file, a line per run")
    records.set_defaults(sources=[], out=Path("results"))
    actions = records.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    pack = _add(actions, "pack", "add the records below DIR and --from to DIR/records.jsonl")
    pack.add_argument("folder", type=existing_dir, metavar="DIR", help="e.g. papers/mer/results/full")
    pack.add_argument(
        "--from", type=existing_dir, nargs="+", default=[], dest="sources", metavar="FOLDER",
        help="read these too, e.g. results/mer/full; nothing is removed there",
    )  # fmt: skip
    unpack = _add(actions, "unpack", "write a file per run below --out, where a sweep goes on from them")
    unpack.add_argument("folder", type=existing_dir, metavar="DIR", help="e.g. papers/mer/results/full")
    _add_out(unpack)

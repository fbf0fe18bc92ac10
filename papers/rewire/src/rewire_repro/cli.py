"""`run.py`: Hydra's command line of the experiments, and the entry point of a sweep's jobs."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrepro.errors import BusyError, DataError, UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.program import run_command
from clrepro.progress import Progress
from clrepro.records import Outcome
from rewire_repro import config
from rewire_repro.program import Program

DEFAULT = "rewire"
_NAME_FLAGS = ("-cn", "--config-name")
_MULTIRUN = ("-m", "--multirun")
_RUN_DIR = "hydra.run.dir="


@dataclass(frozen=True)
class Call:
    """A command line: as Hydra gets it, and what it says: the method, its overrides, other flags."""

    words: list[str]
    method: str
    overrides: list[str]
    flags: list[str]


def parse(argv: Sequence[str] | None) -> Call:
    """Returns what a command line says.  Raises: UsageError for an unknown method or key."""
    words = list(sys.argv[1:] if argv is None else argv)
    call = Call(words, *split(words))
    config.check_names(call.method, call.overrides)
    return call


def run_shell(call: Call) -> None:
    """Do what a command line says, by Hydra."""
    logging.basicConfig(format="%(levelname)s: %(message)s", stream=sys.stderr)
    if not call.flags:  # Hydra tells of a mistake in twenty lines; find it first
        config.settings(config.compose(call.method, call.overrides))
    _hydra(call.words)


def run_job(call: Call, checkpoint: RunDir) -> Outcome:
    """Do a run for a sweep, which says where its files go by hydra.run.dir=FOLDER."""
    folders = [word.removeprefix(_RUN_DIR) for word in call.overrides if word.startswith(_RUN_DIR)]
    if call.flags or len(folders) != 1:
        raise UsageError(f"{' '.join(call.words)}: a sweep gives {_RUN_DIR}FOLDER and no flag but -cn")
    from rewire_repro import experiment

    node = config.compose(call.method, [word for word in call.overrides if not word.startswith("hydra.")])
    outcome = experiment.run(config.settings(node), node, RunDir(Path(folders[0])), checkpoint, Progress())
    if outcome is None:
        raise UsageError("dry_run=True: a sweep needs a run")
    return outcome


def split(words: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """Returns (method, overrides, other flags) of a command line."""
    method, overrides, flags, rest = DEFAULT, [], [], list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in _NAME_FLAGS:
            if not equals and not rest:
                raise UsageError(f"{word}: a method's name after it, one of {', '.join(config.METHODS)}")
            method = value if equals else rest.pop(0)
        elif word.startswith("-cn"):
            method = word.removeprefix("-cn")
        elif word.startswith("-"):
            flags.append(word)
        else:
            overrides.append(word)
    return method.removesuffix(".yaml"), overrides, flags


def _hydra(words: list[str]) -> None:
    """Hand over to Hydra: run folders, --multirun, --help, --cfg.  Raises: the first failure of a job."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    failures: list[Exception] = []

    def job(node: Any) -> None:
        plain = OmegaConf.to_container(node, resolve=True)
        output = HydraConfig.get().runtime.output_dir
        try:
            _run(config.text_keys(plain), Path(output))
        except (UsageError, DataError, BusyError, FloatingPointError, ModuleNotFoundError) as problem:
            failures.append(problem)  # Hydra would print it with a traceback; other jobs of a multirun go on

    config.register_resolvers()
    before = sys.argv
    sys.argv = ["run.py", *words]
    try:
        hydra.main(version_base="1.3", config_path=str(config.CONFIGS), config_name=DEFAULT)(job)()
    finally:
        sys.argv = before
    if failures:
        raise failures[0]


def _run(node: dict[str, Any], folder: Path) -> Outcome | None:
    """One run in its folder; a relative path to resume from is meant from where the program was started."""
    from hydra.utils import get_original_cwd

    from rewire_repro import experiment

    path = node["framework"]["params"]["path"]
    if path is not None:
        node["framework"]["params"]["path"] = str(Path(get_original_cwd()) / path)
    place = RunDir(folder)
    with Progress() as progress:
        return experiment.run(config.settings(node), node, place, place, progress)


MAIN = Program("run.py", parse=parse, run=run_shell, job=run_job)
main = MAIN.main


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Run one command of a profile inside a worker; see `clrepro.program.run_command`."""
    return run_command((MAIN,), argv, work_dir)

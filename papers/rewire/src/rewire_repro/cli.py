"""`run.py`: Hydra's command line of the experiments, and the entry point of a sweep's jobs."""

import contextlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clrepro.errors import BusyError, DataError, UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.progress import Progress
from clrepro.records import Outcome
from rewire_repro import config
from rewire_repro.program import exit_code

DEFAULT = "rewire"
_NAME_FLAGS = ("-cn", "--config-name")
_MULTIRUN = ("-m", "--multirun")
_RUN_DIR = "hydra.run.dir="


def main(argv: Sequence[str] | None = None) -> int:
    """Run `run.py`; returns the exit code: 2 for a wrong command line, 1 for missing files, packages and
    runs that
    diverge.
    """
    logging.basicConfig(format="%(levelname)s: %(message)s", stream=sys.stderr)
    return exit_code(_main, argv)


def _main(argv: Sequence[str] | None) -> None:
    words = list(sys.argv[1:] if argv is None else argv)
    method, overrides, flags = split(words)
    config.check_names(method, overrides)
    if not flags:  # Hydra tells of a mistake in twenty lines; find it first
        config.settings(config.compose(method, overrides))
    _hydra(words)


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


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Run one command of a profile inside a worker: argv[0] is run.py.

    Args: work_dir — the job's own folder, for checkpoints.
    Raises: UsageError or DataError, as the program itself would report them.
    """
    program, *words = argv
    if program != "run.py":
        raise UsageError(f"{program!r} is not a program of a profile; run.py")
    method, overrides, flags = split(words)
    folders = [word.removeprefix(_RUN_DIR) for word in overrides if word.startswith(_RUN_DIR)]
    if flags or len(folders) != 1:
        raise UsageError(f"{' '.join(words)}: a sweep gives {_RUN_DIR}FOLDER and no flag but -cn")
    from rewire_repro import experiment

    node = config.compose(method, [word for word in overrides if not word.startswith("hydra.")])
    with contextlib.redirect_stdout(sys.stderr):
        place = RunDir(Path(folders[0]))
        outcome = experiment.run(config.settings(node), node, place, RunDir(work_dir), Progress())
    if outcome is None:
        raise UsageError("dry_run=True: a sweep needs a run")
    return outcome

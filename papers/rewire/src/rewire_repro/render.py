"""A trained policy at work, as one HTML page made by brax's own renderer.

    python -m rewire_repro.render RUN_FOLDER --task 0 --out episode.html

RUN_FOLDER is that of a Brax run: its params.json says what it was, its train.state holds the policy.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clrepro.arguments import non_negative_int
from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import write_atomically
from clrepro.io.checkpoint import RunDir
from clrepro.io.strict_json import load_json_object
from rewire_repro.program import Parser, Program


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Returns the flags of a command line."""
    parser = Parser(prog="python -m rewire_repro.render", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of a run on Brax")
    parser.add_argument("--task", type=non_negative_int, default=0, help="place in the sequence (default: 0)")
    parser.add_argument("--seed", type=non_negative_int, default=0, help="of the start (default: 0)")
    parser.add_argument("--out", type=Path, default=Path("episode.html"), help="default: episode.html")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Write the page."""
    page = render(args.folder, args.task, args.seed)
    write_atomically(args.out, page.encode())
    print(f"written: {args.out}")


def render(folder: Path, task_id: int, seed: int) -> str:
    """Returns the page of one episode of the first environment.

    Raises: DataError if the folder holds no run or no finished task; UsageError for a run without Brax and
    for a task that the sequence does not have.
    """
    import jax
    import torch
    from brax.io import html

    from rewire_repro import checkpoint, config, frameworks
    from rewire_repro.results import identity
    from rewire_repro.scenarios import make_scenario
    from rewire_repro.scenarios.brax import BraxEnv

    path = folder / "params.json"
    if not path.is_file():
        raise DataError(f"{path}: no such file; the folder of a run has it")
    settings = config.settings(load_json_object(path))
    if settings.scenario.classname != "scenarios.Brax":
        raise UsageError(f"{folder}: a run of {settings.scenario.domain}; only Brax has this renderer")
    if task_id >= len(settings.scenario.sequence):
        raise UsageError(
            f"--task {task_id}: the sequence has {len(settings.scenario.sequence)}, counted from 0"
        )
    device = torch.device("cpu")
    scenario = make_scenario(settings, device)
    framework = frameworks.make_framework(settings, scenario, device)
    if checkpoint.restore(RunDir(folder), framework, identity(replace(settings))) is None:
        raise DataError(f"{folder}: no train.state; the run has not finished a task")
    env, act = scenario.test_tasks()[task_id].make(), framework.get_evaluation_agent(task_id)
    assert isinstance(env, BraxEnv)
    obs, states = env.reset(seed), []
    for _ in range(env.horizon):
        states.append(jax.tree.map(first, env.carry["state"].pipeline_state))
        step = env.step(torch.tanh(act(obs)))
        if bool(step.ended[0]):
            break
        obs = step.obs
    system = env.domain.env.sys.tree_replace({"opt.timestep": env.domain.env.dt})
    page: str = html.render(system, states)
    return page


def first(leaf: Any) -> Any:
    """Returns the first environment's part of a leaf."""
    return leaf[0] if leaf.ndim else leaf


main = Program("render", parse=parse, run=run).main

if __name__ == "__main__":
    sys.exit(main())

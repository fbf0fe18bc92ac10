"""`UCL_EWC_RL/main_rl.py`: the baselines' original command line.  Spec 2.2."""

import argparse
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrepro.arguments import non_negative_int, true_false
from clrepro.io.checkpoint import RunDir
from clrepro.progress import Progress
from clrepro.records import Outcome
from clrepro.seeding import Seeds
from clrepro.settings import add_flags, given, options
from hvcl_repro.baselines.settings import APPROACHES, PPOSettings, spell
from hvcl_repro.program import Parser, Program
from hvcl_repro.rl.environments import SETS

PROGRAM = "UCL_EWC_RL/main_rl.py"
# Accepted because the original's parser has them; there too they do nothing here.
UNUSED: dict[str, Any] = {
    "algo": "ppo", "optimizer": "Adam", "gail-experts-dir": "./gail_experts", "gail-batch-size": 128,
    "gail-epoch": 5, "alpha": 0.99, "log-interval": 100, "save-interval": 100,
    "env-name": "PongNoFrameskip-v4",
    "ewc-epochs": 100, "num-ewc-steps": 20, "save-name": None, "task_id": None, "samples": 1,
}  # fmt: skip
UNUSED_SWITCHES = ("gail", "no-cuda", "cuda-deterministic", "recurrent-policy", "input-padding", "sample")
# The original's parser took any text after these for true.
TRUTHS = tuple(name for name, kind in PPOSettings.__annotations__.items() if kind is bool)


def parser() -> Parser:
    """Returns the parser: the original's flags, then ours."""
    out = Parser(prog=PROGRAM, description="PPO on environments in sequence: fine-tuning, EWC or UCL.")
    out.add_argument("--approach", choices=APPROACHES, required=True, help="what holds the policy")
    out.add_argument(
        "--experiment", choices=("roboschool",), required=True, help="the sequence of environments"
    )
    add_flags(out, PPOSettings, spell=spell, leave_out=("approach", "experiment", *TRUTHS))
    for name in TRUTHS:
        default = getattr(PPOSettings, name)
        words = f"{options(PPOSettings)[name].help} (default: {default})"
        out.add_argument(
            spell(name), dest=name, type=true_false, nargs="?", const=True, default=default, help=words
        )
    out.add_argument("--use-gae", type=true_false, nargs="?", const=True, default=True, help="(always)")
    for flag, default in UNUSED.items():
        out.add_argument(f"--{flag}", default=default, help=argparse.SUPPRESS)
    for flag in UNUSED_SWITCHES:
        out.add_argument(f"--{flag}", action="store_true", help=argparse.SUPPRESS)
    out.add_argument("--log-dir", type=Path, default=Path("logs"), help="folder of the episodes' returns")
    out.add_argument("--save-dir", type=Path, default=Path("trained_models"), help="folder of the policies")
    out.add_argument("--out_dir", type=Path, default=Path("."), help="folder that the others are in")
    out.add_argument(
        "--workers", type=non_negative_int, default=0, help="processes for environments, 0: none"
    )
    out.add_argument("--resume", action="store_true", help="continue an interrupted run of the same settings")
    return out


@dataclass(frozen=True)
class Call:
    """A command line: the run's settings, how it is carried out, and where its files go."""

    settings: PPOSettings
    workers: int
    out_dir: Path
    save_dir: str
    log_dir: str
    resume: bool


def parse(argv: Sequence[str] | None) -> Call:
    """Returns what a command line says.  Raises: UsageError."""
    flags = vars(parser().parse_args(argv))
    how = (flags[name] for name in ("workers", "out_dir", "save_dir", "log_dir", "resume"))
    return Call(PPOSettings(**given(PPOSettings, flags)), *how)


def run_shell(call: Call) -> None:
    """Do the run of a command line, with its checkpoint in a hidden folder beside the results."""
    checkpoint = RunDir(call.out_dir / f".{call.settings.log_name}")
    with checkpoint.lock():
        if not call.resume:
            checkpoint.remove_state("ppo")
        run_once(call, checkpoint)


def run_once(call: Call, checkpoint: RunDir) -> Outcome:
    """Do one run; writes its files and returns what the run record keeps."""
    settings = call.settings
    from clrepro.adapters import torch as adapter

    adapter.use_one_thread()
    from hvcl_repro.baselines.train import Baseline
    from hvcl_repro.rl.curves import matrix
    from hvcl_repro.rl.evaluate import floors
    from hvcl_repro.rl.outputs import metrics
    from hvcl_repro.rl.references import references

    run = Baseline(settings, Seeds(settings.seed), checkpoint, call.workers)
    floor = floors(run.env_ids, settings.seed, settings.eval_episodes)
    with Progress() as progress:
        result = run.run(progress)
    print(f"written to {_write(run, call)}")
    reference = references(settings.env_set, settings.num_env_steps)
    if len(result.curves) < len(SETS[settings.env_set]):  # --single-task
        reference = None
    found, series = metrics(result.curves, floor["random"], reference)
    return Outcome(
        metrics=found,
        series={
            "R": matrix(result.curves), "random": floor["random"], "idle": floor["idle"], **series,
        },
        settings=settings.fingerprint(), data={"name": settings.env_set, "environments": list(run.env_ids)},
        cost={
            "train_s": result.seconds, "env_steps": float(result.steps),
            "worker_restarts": float(result.restarts),
        },
    )  # fmt: skip


def _write(run: Any, call: Call) -> Path:
    """Write the .mat file, the policy and the returns of training.  Returns: the path of the .mat file."""
    import torch
    from scipy.io import savemat

    settings, result, n, out = run.settings, run.result, len(run.env_ids), call.out_dir
    tests = {
        kind: {f"task{i}": _whole(curves, i) for i in range(n)}
        for kind, curves in (("mean", result.curves), ("max", result.largest), ("min", result.smallest))
    }
    buffer = io.BytesIO()
    rewards = {f"task{i}": values for i, values in enumerate(result.train)}
    savemat(buffer, {"tr_reward_arr": rewards, "te_reward_arr": tests})
    path = RunDir(out / "result_data").atomic_write_bytes(
        f"{settings.log_name}_result.mat", buffer.getvalue()
    )
    weights = io.BytesIO()
    torch.save(run.policy.state_dict(), weights)
    name = f"{settings.log_name}_task_{n - 1}.pt"
    RunDir(out / call.save_dir / "ppo").atomic_write_bytes(name, weights.getvalue())
    lines = [
        "task,update,mean_return",
        *(f"{t},{u},{v}" for t, row in enumerate(result.train) for u, v in enumerate(row)),
    ]
    RunDir(out / call.log_dir).atomic_write_text(f"{settings.log_name}.csv", "\n".join(lines) + "\n")
    return path


def _whole(curves: Any, task: int) -> list[float]:
    """Returns a task's values at every evaluation of the run, 0 before it was seen, as the original."""
    return [
        value
        for segment in curves
        for value in (segment[task] if task < len(segment) else [0.0] * len(segment[0]))
    ]


MAIN = Program(PROGRAM, parse=parse, run=run_shell, job=run_once)
main = MAIN.main

"""`SAC_main.py`: the original's command line for continual reinforcement learning."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrepro.adapters.tf import configure
from clrepro.arguments import non_negative_int
from clrepro.errors import UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.progress import Progress
from clrepro.records import Outcome
from clrepro.seeding import Seeds
from clrepro.settings import add_flags, given
from hvcl_repro.program import Parser, Program
from hvcl_repro.rl.environments import SETS
from hvcl_repro.rl.settings import RLSettings

PROGRAM = "SAC_main.py"
# The first block is the quick profile of spec 8; a flag that is given wins.
QUICK: dict[str, Any] = {
    "env_set": "quick", "train_steps": 20_000, "train_interval": 800, "updates": 80, "batch_s": 128,
    "hidden_u": 16,
    "replay_start_size": 1000, "eval_interval": 4000, "eval_episodes": 5, "checkpoint_interval": 8000,
}  # fmt: skip


def parser() -> Parser:
    """Returns the parser: the 16 flags of the original, then ours."""
    out = Parser(prog=PROGRAM, description="Continual reinforcement learning with HVCL or plain networks.")
    out.set_defaults(hvcl=False)
    out.add_argument("--hvcl", dest="hvcl", action="store_true", help="MoVE networks in actor and critics")
    out.add_argument("--no-hvcl", dest="hvcl", action="store_false", help="plain networks (default)")
    add_flags(out, RLSettings, unset=True)
    out.add_argument(
        "--profile", choices=("full", "quick"), default="full", help="quick: minutes instead of hours"
    )
    out.add_argument(
        "--workers",
        type=non_negative_int,
        default=0,
        help="processes for environments, 0: none (same results)",
    )
    out.add_argument("--resume", action="store_true", help="continue an interrupted run of the same settings")
    out.add_argument("--out_dir", type=Path, default=Path("."), help="folder of the results (default: here)")
    out.add_argument("-v", "--verbose", action="count", default=0, help="also print what each phase did")
    return out


def settings_of(flags: dict[str, Any]) -> RLSettings:
    """Returns the settings of parsed flags.  Raises: UsageError if --hvcl and --method disagree."""
    chosen = dict(QUICK) if flags["profile"] == "quick" else {}
    chosen |= given(RLSettings, flags)
    method = flags["method"] or ("hvcl" if flags["hvcl"] else "dense")
    if flags["hvcl"] and method == "dense":
        raise UsageError("--hvcl with --method dense: one of the two")
    return RLSettings(**chosen | {"method": method, "hvcl": method == "hvcl"})


@dataclass(frozen=True)
class Call:
    """A command line: the run's settings, how it is carried out, and where its files go."""

    settings: RLSettings
    workers: int
    verbose: int
    out_dir: Path
    resume: bool


def parse(argv: Sequence[str] | None) -> Call:
    """Returns what a command line says.  Raises: UsageError."""
    flags = vars(parser().parse_args(argv))
    how = (flags[name] for name in ("workers", "verbose", "out_dir", "resume"))
    return Call(settings_of(flags), *how)


def run_shell(call: Call) -> None:
    """Do the run of a command line, with its checkpoint in a hidden folder beside the results."""
    name = f".{call.settings.file_name.removesuffix('.npy')}_{call.settings.seed}"
    checkpoint = RunDir(RunDir(call.out_dir).path / name)
    with checkpoint.lock():
        if not call.resume:
            checkpoint.remove_state("run")
        run_job(call, checkpoint)


def run_job(call: Call, checkpoint: RunDir) -> Outcome:
    """Do the run, with its checkpoint in this folder."""
    return run_once(call.settings, call.workers, call.verbose, checkpoint, RunDir(call.out_dir))


def run_once(settings: RLSettings, workers: int, verbose: int, checkpoint: RunDir, folder: RunDir) -> Outcome:
    """Do one run; writes the result files and returns what the run record keeps."""
    configure(deterministic=False, accelerators=True)
    import tensorflow as tf
    import tf_keras

    from hvcl_repro.rl import outputs
    from hvcl_repro.rl.curves import matrix
    from hvcl_repro.rl.environments import sizes
    from hvcl_repro.rl.evaluate import floors
    from hvcl_repro.rl.references import references
    from hvcl_repro.rl.train import Loop

    env_ids = SETS[settings.env_set]
    print(f"TensorFlow {tf.__version__}\nKeras {tf_keras.__version__}")
    for name, column in (("Obs", 0), ("Act", 1)):
        largest = max(range(len(env_ids)), key=lambda i: sizes(env_ids)[i][column])
        print(f"Largest {name} Dim: {sizes(env_ids)[largest][column]}, from Env {env_ids[largest]}")
    loop = Loop(settings, Seeds(settings.seed), checkpoint, workers, verbose)
    if verbose:
        for model in (loop.sac.actor, *loop.sac.critics, *loop.sac.targets):
            model.trunk.summary()
    floor = floors(env_ids, settings.seed, settings.eval_episodes)
    with Progress() as progress:
        result = loop.run(progress)
    reference = references(settings.env_set, settings.train_steps)
    path = outputs.write(result, floor, reference, folder)
    print(f"written to {path}")
    found, series = outputs.metrics(result.curves, floor["random"], reference)
    return Outcome(
        metrics=found,
        series={"R": matrix(result.curves), "random": floor["random"], "idle": floor["idle"], **series},
        settings=settings.fingerprint(), data={"name": settings.env_set, "environments": list(env_ids)},
        cost={
            "train_s": result.seconds, "updates": float(result.updates),
            "env_steps": float(result.train_steps + result.eval_steps),
            "worker_restarts": float(result.restarts),
        },
    )  # fmt: skip


MAIN = Program(PROGRAM, parse=parse, run=run_shell, job=run_job)
main = MAIN.main

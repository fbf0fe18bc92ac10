"""Campaigns of steps that break off: environments that raise or hang, Ctrl-C, and runs that diverge."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from faults.commands import ROOT, SOURCES
from faults.results import Tally
from faults.workers import Walk

N, STEPS, PATIENCE_S = 5, 12, 1.0


class Fragile(Walk):
    """Counts its steps in what it shows; at one step of its life it raises, hangs or takes long."""

    def __init__(self, fault: str = "", at: int = 0) -> None:
        super().__init__()
        self.fault, self.at, self.life = fault, at, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """A new beginning, which shows 0."""
        self.t = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step."""
        self.life += 1
        if self.life == self.at and self.fault == "raises":

            class Odd(Exception):
                """Cannot be pickled: nobody else knows this class."""

            raise Odd("a joint came off")
        if self.life == self.at:
            threading.Event().wait(60 if self.fault == "hangs" else 0.4)
        self.t += 1
        return np.array([self.t, self.t], np.float32), 0.0, False, False, {}


def environment_breaks(tally: Tally, *, n: int, seed: int) -> None:
    """Environments that raise, hang or are slow while Ctrl-C comes, over several numbers of workers."""
    rng = random.Random(seed)
    for fault, crews in (("raises", (0, 1, 2, 5)), ("hangs", (1, 2, 5)), ("interrupted", (0, 1, 2, 5))):
        with tally.row("workers", f"an environment {fault}" if fault != "interrupted" else "Ctrl-C") as row:
            for number in range(n):
                workers, who, at = rng.choice(crews), rng.randrange(N), rng.randrange(1, STEPS - 3)
                case = f"case {number}: environment {who}, step {at}, {workers} workers"
                row.add(_behind(fault, workers, who, at), case=case)


def _behind(fault: str, workers: int, who: int, at: int) -> str:
    """What is wrong after the fault: an environment that shows another step than the present one, uncut."""
    from clrepro.envs.vector import VectorEnv

    makers: list[Any] = [Fragile] * N
    makers[who] = partial(Fragile, fault, at)
    actions, stopped = np.zeros((N, 2), np.float32), ""
    began = np.zeros(N, int)  # the step at which each present episode began
    with VectorEnv(makers, 2, 2, list(range(N)), workers, patience_s=PATIENCE_S) as env:
        env.reset()
        for step in range(1, STEPS):
            alarm = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
            with contextlib.ExitStack() as ending:
                if fault == "interrupted" and step == at:
                    alarm.start()
                    ending.callback(alarm.join)
                try:
                    got = env.step(actions)
                except (Exception, KeyboardInterrupt) as problem:
                    stopped = f"{type(problem).__name__}: {problem}"
                    continue
            began[got["truncated"]] = step
            if not np.array_equal(got["obs"][:, 0], step - began):
                return f"step {step} shows {got['obs'][:, 0].tolist()} after {stopped}"
        if env.renew(list(range(N))).any():
            return "renewed environments do not begin at their beginning"
    wanted = {
        "raises": "a joint came off",
        "hangs": f"environment {who} (",
        "interrupted": "KeyboardInterrupt",
    }
    return "" if wanted[fault] in stopped else f"the fault was told as {stopped!r}"


DIVERGING = {
    "mer": (
        "main.py --lr 1e9 --samples_per_task 20 --data_path {data}/ --data_file mnist_rotations.pt "
        "--save_path {out}/ --model {method}",
        ["online", "gem --n_memories 5", "ewc --n_memories 5", "eralg4", "meralg1 --beta .1 --gamma .1"],
    ),
    "tag": (
        "main.py --profile quick --dataset perm-mnist --tasks 2 --lr 1e9 --out {out} {method}",
        ["", "--opt rms", "--opt adam", "--opt tag --tag-opt rms --b 5", "--opt ewc --lambd 1"],
    ),
    "ta_agem": (
        "main.py --dataset digits --task_type permutation --set learning_rate=1000000000.0 --no_mlflow "
        "--output_dir {out} --method {method}",
        ["sgd", "agem-random", "ta-agem"],
    ),
    "hvcl": (
        "HVCL_supervised_main.py --profile quick --benchmark split-mnist --epochs 1 --lr 1e9 "
        "--out_dir {out} --method {method}",
        ["fine-tune", "vcl --e_beta .01"],
    ),
}  # fmt: skip
NO_RESULTS = {".lock", "args.json"}  # what a run may leave that has none


def diverging(tally: Tally, *, pythons: dict[str, str], papers: list[str] | None, quick: bool) -> None:
    """Every paper at an absurd rate: one line, exit code 1, and no file that looks like a result."""
    for paper, (words, methods) in DIVERGING.items():
        if (papers and paper not in papers) or (paper == "hvcl" and paper not in pythons):
            continue
        with tempfile.TemporaryDirectory(prefix="faults-") as name, tally.row("diverged", paper) as row:
            python, data = pythons.get(paper, sys.executable), Path(name) / "data"
            if paper == "mer":
                make = f"get_data.py rotations --source quick --n_tasks 2 --out_dir {data}"
                _program(paper, python, make.split())
            for number, method in enumerate(methods[:1] if quick else methods):
                out = Path(name) / str(number)
                out.mkdir()
                done = _program(paper, python, words.format(out=out, data=data, method=method).split())
                row.add(_as_a_result(done, out), case=method)


def _program(paper: str, python: str, words: list[str]) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join([*SOURCES, os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [python, *words], cwd=ROOT / "papers" / paper, capture_output=True, text=True, timeout=600,
        env={**os.environ, "PYTHONPATH": path}, check=False,
    )  # fmt: skip


def _as_a_result(done: "subprocess.CompletedProcess[str]", out: Path) -> str:
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    if done.returncode != 1 or len(told) != 1 or "lower" not in told[0]:
        return f"exit code {done.returncode}, {done.stderr[-300:]!r}"
    left = [path.name for path in out.rglob("*") if path.is_file() and path.name not in NO_RESULTS]
    return f"left {left}" if left else ""

"""Campaign that kills environment workers in mid-episode: the episodes are cut off, all the rest goes on."""

import os
import random
import signal
import time
from typing import Any

import numpy as np

from faults.results import Row, Tally

N, WORKERS, STEPS = 6, 3, 40


class Walk:
    """A random walk of 15 steps with the interface of gymnasium."""

    def __init__(self) -> None:
        from types import SimpleNamespace

        self.observation_space = self.action_space = SimpleNamespace(
            shape=(2,), low=-np.ones(2), high=np.ones(2)
        )
        self.rng, self.x, self.t = np.random.default_rng(), np.zeros(2), 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """A new beginning."""
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.x, self.t = self.rng.normal(size=2), 0
        return self.x.astype(np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step."""
        self.t += 1
        self.x = self.x + 0.1 * np.asarray(action)[:2] + 0.1 * self.rng.normal(size=2)
        time.sleep(0.001)
        return self.x.astype(np.float32), float(self.x.sum()), False, self.t >= 15, {}

    def close(self) -> None:
        """Nothing to close."""


def environment_workers(tally: Tally, *, n: int, seed: int) -> None:
    """Kill one worker (or all) while all environments step; n times."""
    from clrepro.envs.vector import VectorEnv

    rng = random.Random(seed)
    with tally.row("workers", "killed in mid-episode") as row:
        straight = _trajectory(VectorEnv, 0, {})
        for number in range(n):
            kills = {rng.randrange(STEPS): rng.sample(range(WORKERS), 1 if number % 4 else WORKERS)}
            if number % 3 == 0:
                kills[rng.randrange(STEPS)] = [rng.randrange(WORKERS)]
            row.add(
                _judge(row, VectorEnv, kills, straight, late=number % 2 == 1), case=f"case {number}: {kills}"
            )
    with tally.row("workers", "killed while they start") as row:
        for number in range(max(2, n // 5)):
            row.add(_starting(VectorEnv, rng.uniform(0, 0.4)), case=f"case {number}")


def _actions() -> Any:
    return np.random.default_rng(1).uniform(-1, 1, (STEPS, N, 2)).astype(np.float32)


def _trajectory(
    kind: Any, workers: int, kills: dict[int, list[int]], late: bool = False
) -> list[dict[str, Any]]:
    with kind([Walk] * N, 2, 2, list(range(N)), workers) as env:
        found = [{"obs": env.reset()}]
        for step, action in enumerate(_actions()):
            for number in kills.get(step, []):
                os.kill(env._workers[number].pid, signal.SIGKILL)
            if late:
                time.sleep(0.05 if kills.get(step) else 0)
            found.append(env.step(action))
        found[0]["restarts"] = env.restarts
    return found


def _judge(
    row: Row, kind: Any, kills: dict[int, list[int]], straight: list[dict[str, Any]], late: bool
) -> str:
    """What is wrong with a trajectory with deaths: rows of living workers must be those of a quiet run."""
    began = time.monotonic()
    try:
        found = _trajectory(kind, WORKERS, kills, late)
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"
    if time.monotonic() - began > 60:
        return "took more than a minute"
    if found[0]["restarts"] != sum(len(numbers) for numbers in kills.values()):
        return f"{found[0]['restarts']} restarts counted of {kills}"
    crews = np.array_split(np.arange(N), WORKERS)
    for number, rows in enumerate(crews):
        dead = [step for step, numbers in kills.items() if number in numbers]
        for step in range(STEPS):
            now, want = found[step + 1], straight[step + 1]
            if step in dead:
                good = (
                    now["truncated"][rows].all()
                    and not now["terminated"][rows].any()
                    and np.isnan(now["last"][rows]).all()
                )
                good &= np.isfinite(now["obs"][rows]).all() and not now["reward"][rows].any()
                if not good:
                    return f"the cut of worker {number} at step {step} is not what was promised"
            elif not dead or step < min(dead):
                if not all(
                    np.array_equal(now[name][rows], want[name][rows])
                    for name in ("obs", "last", "reward", "truncated")
                ):
                    return f"worker {number} lived, yet step {step} differs"
            elif not np.isfinite(now["last"][rows]).all():
                return f"step {step} of worker {number} after its restart is no step"
    row.note = "rows of living workers equal a quiet run's, bit by bit"
    return ""


def _starting(kind: Any, wait: float) -> str:
    """Kill the workers while they import: a working environment or one clear error, and nothing is left."""
    import multiprocessing
    import threading

    def shoot() -> None:
        time.sleep(wait)
        for child in multiprocessing.active_children():
            child.kill()

    thread = threading.Thread(target=shoot)
    thread.start()
    try:
        with kind([Walk] * N, 2, 2, list(range(N)), WORKERS) as env:
            env.reset()
            env.step(_actions()[0])
    except Exception as problem:
        from clrepro.errors import DataError

        if not isinstance(problem, DataError):
            return f"{type(problem).__name__}: {problem}"
    finally:
        thread.join()
    time.sleep(0.1)
    left = multiprocessing.active_children()
    return f"{len(left)} processes are left" if left else ""

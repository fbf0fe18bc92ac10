"""N environments over W worker processes, meeting in shared memory; the trajectories do not depend on W.

Every environment is seeded by itself and lives in one worker for good.  A worker that dies is started again:
its environments begin new episodes, the broken ones count as cut off, and `restarts` says how often.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from multiprocessing import shared_memory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.envs.lane import Lane
from clrepro.errors import DataError

log = logging.getLogger(__name__)
Make = Callable[[], Any]
MAX_STARTS = 3
ANSWER = ("obs", "last", "reward", "terminated", "truncated")
DEATH = (EOFError, ConnectionError)  # how the end of a worker shows in its pipe
DIES = f"environment workers die as they start, {MAX_STARTS} times (out of memory? see dmesg)"
RESTART_STEP = 100_003  # added to a seed after each restart: new episodes, not the old ones again


class Board:
    """What all processes see, one row per environment."""

    def __init__(self, n: int, obs_dim: int, act_dim: int, name: str | None = None) -> None:
        fields: dict[str, tuple[tuple[int, ...], Any]] = {
            "action": ((n, act_dim), np.float32), "moves": ((n,), np.bool_),
            "obs": ((n, obs_dim), np.float32), "last": ((n, obs_dim), np.float32),
            "reward": ((n,), np.float64),
            "terminated": ((n,), np.bool_), "truncated": ((n,), np.bool_),
        }  # fmt: skip
        sizes = [int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in fields.values()]
        starts = np.concatenate([[0], np.cumsum([-(-size // 64) * 64 for size in sizes])])
        self._memory = shared_memory.SharedMemory(name, create=name is None, size=int(starts[-1]))
        self.name, self.owner = self._memory.name, name is None
        self.rows = {
            field: np.ndarray(shape, kind, self._memory.buf, int(start))
            for (field, (shape, kind)), start in zip(fields.items(), starts[:-1], strict=True)
        }

    def close(self) -> None:
        """Let go of the memory; the owner frees it."""
        self.rows = {}
        self._memory.close()
        if self.owner:
            self._memory.unlink()


class VectorEnv:
    """Steps all environments at once.

    Args: makers — one function per environment, picklable if there are workers; obs_dim, act_dim — padded
        sizes; seeds — one per environment; n_workers — processes, 0: all here.
    Raises: UsageError if a space is larger than the padding; DataError, here and later, if workers die one
        after the other.
    """

    def __init__(
        self, makers: Sequence[Make], obs_dim: int, act_dim: int, seeds: Sequence[int], n_workers: int = 0
    ) -> None:
        self.n, self.obs_dim, self.act_dim = len(makers), obs_dim, act_dim
        self.restarts = 0
        self._makers, self._seeds = list(makers), list(seeds)
        self._board = Board(self.n, obs_dim, act_dim)
        self._lanes: list[Lane] = []
        self._crews: list[Crew] = []
        try:
            if n_workers:
                for rows in np.array_split(np.arange(self.n), min(n_workers, self.n)):
                    self._crews.append(Crew(rows.tolist(), self._hire))
                for crew in self._crews:
                    self._await(crew)
            else:
                self._lanes = [
                    Lane(make, obs_dim, act_dim, seed) for make, seed in zip(makers, seeds, strict=True)
                ]
        except BaseException:
            self.close()
            raise

    def reset(self) -> NDArray[np.float32]:
        """Begin new episodes everywhere.  Returns: observations (n, obs_dim)."""
        self._all("reset", None)
        return self._board.rows["obs"].copy()

    def renew(self, seeds: Sequence[int]) -> NDArray[np.float32]:
        """Make all environments anew and reset them: what follows depends on these seeds alone.

        Returns: observations (n, obs_dim).
        """
        self._seeds = list(seeds)
        self._all("renew", self._seeds)
        return self._board.rows["obs"].copy()

    def step(
        self, actions: NDArray[np.float32], moves: NDArray[np.bool_] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Step every environment; one whose episode ends begins the next at once.

        Args: actions — (n, act_dim) in [-1, 1]; moves — (n,): where it is False the environment stands still
            and its rows of the answer are what they were (default: all move).
        Returns: copies: obs (n, obs_dim) to act on next; last (n, obs_dim), what the step led to; reward
        float64 (n,); terminated, truncated bool (n,).
        """
        self._board.rows["action"][:] = actions
        self._board.rows["moves"][:] = True if moves is None else moves
        self._all("step", None)
        return {name: self._board.rows[name].copy() for name in ANSWER}

    def close(self) -> None:
        """End all workers and free the memory; may be called twice."""
        for crew in self._crews:
            crew.stop()
        for lane in self._lanes:
            lane.close()
        self._crews, self._lanes = [], []
        if self._board.rows:
            self._board.close()

    def __enter__(self) -> "VectorEnv":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hire(self, rows: list[int]) -> tuple[Any, Any]:
        """Returns (process, pipe) of a new worker for these rows."""
        context = multiprocessing.get_context("spawn")  # frameworks with threads do not survive a fork
        mine, its = context.Pipe()
        work = ([self._makers[i] for i in rows], [self._seeds[i] for i in rows], rows, self._board.name)
        process = context.Process(
            target=_serve, args=(its, *work, self.n, self.obs_dim, self.act_dim), daemon=True
        )
        process.start()
        its.close()
        return process, mine

    def _all(self, word: str, seeds: list[int] | None) -> None:
        for lane_number, lane in enumerate(self._lanes):
            _act(lane, lane_number, word, seeds, self._board.rows)
        for crew in self._crews:
            crew.ask(word, None if seeds is None else [seeds[i] for i in crew.rows])
        for crew in self._crews:
            try:
                crew.answer()
            except DEATH:
                self._replace(crew, word)

    def _replace(self, crew: "Crew", word: str) -> None:
        """Start a dead worker again; its episodes count as cut off where they were."""
        self.restarts += 1
        log.warning("environment worker %d died; its %d environments start again", crew.pid, len(crew.rows))
        for i in crew.rows:
            self._seeds[i] += RESTART_STEP
        self._restart(crew)
        rows = self._board.rows
        if word == "step":
            rows["reward"][crew.rows] = 0.0
            rows["terminated"][crew.rows], rows["truncated"][crew.rows] = False, True
            # What the lost step led to is not known; the new beginning would be a lie, so it is not stored.
            rows["last"][crew.rows] = np.nan

    def _restart(self, crew: "Crew") -> None:
        """Begin new episodes in a new worker, in another one if that dies as well.  Raises: DataError."""
        for _ in range(MAX_STARTS):
            crew.stop()
            crew.begin(self._hire)
            with contextlib.suppress(*DEATH):
                self._await(crew)
                crew.ask("reset", None)
                crew.answer()
                return
        raise DataError(DIES)

    def _await(self, crew: "Crew") -> None:
        """Wait until a worker is there, a new one if it dies on its way.  Raises: DataError."""
        for _ in range(MAX_STARTS):
            with contextlib.suppress(*DEATH):
                crew.answer()
                return
            crew.stop()
            crew.begin(self._hire)
        raise DataError(DIES)


class Crew:
    """One worker and the rows it serves."""

    def __init__(self, rows: list[int], hire: Callable[[list[int]], tuple[Any, Any]]) -> None:
        self.rows = rows
        self.begin(hire)

    def begin(self, hire: Callable[[list[int]], tuple[Any, Any]]) -> None:
        """Start the process."""
        self._process, self._pipe = hire(self.rows)
        self.pid = int(self._process.pid)

    def ask(self, word: str, seeds: list[int] | None) -> None:
        """Send a request; a broken pipe shows when the answer is read."""
        try:
            self._pipe.send((word, seeds))
        except (BrokenPipeError, ConnectionError):
            pass

    def answer(self) -> None:
        """Wait for the worker.  Raises: what the worker raised; EOFError if it died."""
        problem = self._pipe.recv()
        if problem is not None:
            raise problem

    def stop(self) -> None:
        """End the process, at the latest after two seconds."""
        self.ask("close", None)
        self._process.join(2)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._pipe.close()


def _serve(
    pipe: Any,
    makers: list[Make],
    seeds: list[int],
    rows: list[int],
    name: str,
    n: int,
    obs_dim: int,
    act_dim: int,
) -> None:
    """The worker: answers requests until the pipe closes, which it does when the parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    _let_the_waker_finish()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    board = Board(n, obs_dim, act_dim, name)
    lanes: list[Lane] = []
    try:
        lanes = [Lane(make, obs_dim, act_dim, seed) for make, seed in zip(makers, seeds, strict=True)]
        pipe.send(None)
        while True:
            word, fresh = pipe.recv()
            if word == "close":
                return
            for number, (row, lane) in enumerate(zip(rows, lanes, strict=True)):
                _act(lane, row, word, None if fresh is None else {row: fresh[number]}, board.rows)
            pipe.send(None)
    except EOFError:
        return
    except Exception as problem:
        pipe.send(problem)
    finally:
        for lane in lanes:
            lane.close()
        board.close()


def _let_the_waker_finish() -> None:
    """Never push the parent off its core on being woken: it has other workers to wake.

    Without this the second of two workers began a millisecond late, an eighth of a step of 25 HalfCheetahs.
    """
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):  # some sandboxes refuse; then it is only slower
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _act(lane: Lane, row: int, word: str, seeds: Any, rows: dict[str, NDArray[Any]]) -> None:
    """Do one request for one environment."""
    if word == "step":
        if not rows["moves"][row]:
            return
        obs, reward, terminated, truncated, last = lane.step(rows["action"][row])
        rows["obs"][row], rows["last"][row], rows["reward"][row] = obs, last, reward
        rows["terminated"][row], rows["truncated"][row] = terminated, truncated
        return
    if word == "renew":
        lane.renew(seeds[row])
    rows["obs"][row] = lane.reset()

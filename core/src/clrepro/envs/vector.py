"""N environments over W worker processes, meeting in shared memory; the trajectories do not depend on W.

Every environment is seeded by itself and lives in one worker for good.  A worker that dies is started again:
its environments begin new episodes, the broken ones count as cut off, and `restarts` says how often.

An environment that raises, and Ctrl-C, end the caller's `step`, not the others' step: before the next request
every environment has done the present one.  The one that broke off begins a new episode at its next step and
counts as cut off there, as after a death.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.envs.padded_env import PaddedEnv
from clrepro.envs.shared_rows import ANSWER, SharedRows
from clrepro.envs.worker import DEATH, Make, Worker, act, name_of
from clrepro.errors import DataError, UsageError

log = logging.getLogger(__name__)
MAX_STARTS = 3
DIES = f"environment workers die as they start, {MAX_STARTS} times (out of memory? see dmesg)"
MAX_DEATHS, LIFE = 3, 1000  # so many deaths of one worker within so many requests are no accident
PATIENCE_S = 30.0  # for one step
BEGINNING = 10  # times as long where environments are made or reset
RESTART_STEP = 100_003  # added to a seed after each restart: new episodes, not the old ones again


class VectorEnv:
    """Steps all environments at once.

    Args: makers — one function per environment, picklable if there are workers; obs_dim, act_dim — padded
        sizes; seeds — one per environment; n_workers — processes, 0: all here; patience_s — the longest step
        of a worker, ten times as long for making and resetting environments; none without workers.
    Raises: UsageError if a space is larger than the padding; here and later, DataError if workers die one
        after the other or an environment hangs, and whatever an environment raises (RuntimeError with its
        type and text if it cannot come out of a worker).
    """

    def __init__(
        self, makers: Sequence[Make], obs_dim: int, act_dim: int, seeds: Sequence[int], n_workers: int = 0,
        patience_s: float = PATIENCE_S,
    ) -> None:  # fmt: skip
        self.n, self.obs_dim, self.act_dim = len(makers), obs_dim, act_dim
        self.restarts = 0
        self._patience_s = patience_s
        self._makers, self._seeds = list(makers), list(seeds)
        self._word, self._turn, self._finished = "reset", 0, 0  # the present request, and the last whole one
        self._ended = np.zeros(self.n, np.bool_)  # in a step whose answer the caller never saw
        self._deaths: dict[int, list[int]] = {}  # turns in which each worker died
        self._shared = SharedRows(self.n, obs_dim, act_dim)
        self._padded_envs: list[PaddedEnv] = []
        self._workers: list[Worker] = []
        try:
            if n_workers:
                for rows in np.array_split(np.arange(self.n), min(n_workers, self.n)):
                    worker = Worker(rows.tolist(), self._makers, self._shared)
                    worker.begin(self._seeds)
                    self._workers.append(worker)
                for worker in self._workers:
                    self._await(worker)
            else:
                for make, seed in zip(makers, seeds, strict=True):
                    self._padded_envs.append(PaddedEnv(make, obs_dim, act_dim, seed))
        except BaseException:
            self.close()
            raise

    def reset(self) -> NDArray[np.float32]:
        """Begin new episodes everywhere.  Returns: observations (n, obs_dim)."""
        self._settle()
        self._all("reset")
        return self._shared.rows["obs"].copy()

    def renew(self, seeds: Sequence[int]) -> NDArray[np.float32]:
        """Make all environments anew and reset them: what follows depends on these seeds alone.

        Returns: observations (n, obs_dim).
        """
        self._settle(finish=False)
        self._seeds = list(seeds)
        self._all("renew")
        return self._shared.rows["obs"].copy()

    def step(
        self, actions: NDArray[np.float32], moves: NDArray[np.bool_] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Step every environment; one whose episode ends begins the next at once.

        Args: actions — (n, act_dim) in [-1, 1]; moves — (n,): where it is False the environment stands still
            and its rows of the answer are what they were (default: all move).
        Returns: copies: obs (n, obs_dim) to act on next; last (n, obs_dim), what the step led to, nan where
        an episode was cut off by a death or an error; reward float64 (n,); terminated, truncated bool (n,).
        """
        self._settle()
        rows = self._shared.rows
        rows["action"][:] = actions
        rows["moves"][:] = True if moves is None else moves
        self._all("step")
        answer = {name: rows[name].copy() for name in ANSWER}
        if self._ended.any():
            # An episode ended in a step that raised: the caller's last observation is of that episode.
            lost = self._ended & rows["moves"]
            answer["last"][lost], answer["reward"][lost] = np.nan, 0.0
            answer["terminated"][lost], answer["truncated"][lost] = False, True
            self._ended &= ~lost
        return answer

    def close(self) -> None:
        """End all workers and free the memory; may be called twice."""
        for worker in self._workers:
            worker.stop()
        for padded in self._padded_envs:
            padded.close()
        self._workers, self._padded_envs = [], []
        self._shared.close()

    def __enter__(self) -> "VectorEnv":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _all(self, word: str) -> None:
        """Do a request in every environment.  Raises: the first of their problems, when all are through."""
        self._word, self._turn = word, self._turn + 1
        problems = self._go_on()
        if problems:
            raise problems[0]
        if word != "step":
            self._ended[:] = False

    def _go_on(self) -> list[BaseException]:
        """Do the present request wherever it has not been done.  Returns what environments raised."""
        found: list[BaseException | None] = []
        rows, turn = self._shared.rows, self._turn
        for row, padded in enumerate(self._padded_envs):
            if rows["state"][row] >= 2 * turn:
                continue
            try:
                act(padded, row, turn, self._word, self._seeds[row], rows)
            except (Exception, SystemExit) as problem:
                found.append(problem)
        for worker in self._workers:
            if worker.turn < turn:
                worker.ask(turn, self._word, self._seeds if self._word == "renew" else None)
        for worker in self._workers:
            if worker.asked:
                found.append(self._answer(worker))
        problems = [problem for problem in found if problem is not None]
        if problems and self._word == "step":
            self._note_ends()
        self._finished = -1 if problems and self._word == "renew" else self._turn
        return problems

    def _settle(self, finish: bool = True) -> None:
        """Bring a request to its end that an interrupt has left half done.

        Args: finish — False if all environments will be made anew.
        Raises: UsageError if they were being made anew: half of them could be of yesterday.
        """
        if self._finished == self._turn:
            return
        if self._word == "renew" and finish:
            raise UsageError("the environments were not all made anew (an error or Ctrl-C); call renew again")
        if finish:
            for problem in self._go_on():
                log.warning("in the step that was interrupted: %s: %s", type(problem).__name__, problem)
            if self._word == "step":
                self._note_ends()
            return
        for worker in self._workers:
            if worker.asked:
                self._answer(worker)

    def _note_ends(self) -> None:
        rows = self._shared.rows
        self._ended |= (rows["terminated"] | rows["truncated"]) & rows["moves"]

    def _answer(self, worker: Worker) -> BaseException | None:
        """Returns what an environment of this worker raised, or how it came to its end."""
        try:
            return worker.answer(self._patience(self._word))
        except DEATH:
            return self._replace(worker)
        except TimeoutError:
            return DataError(self._hangs(worker, self._word))

    def _patience(self, word: str) -> float:
        return self._patience_s * (1 if word == "step" else BEGINNING)

    def _hangs(self, worker: Worker, word: str) -> str:
        """Says which environment it is that gives no answer: the last that has begun, they go in order."""
        begun = [i for i in worker.rows if self._shared.rows["state"][i] >= 2 * max(worker.turn, 1)]
        at_work = (begun or worker.rows[:1])[-1]
        name = f"environment {at_work} ({name_of(self._makers[at_work])})"
        return f"{name} gives no answer within {self._patience(word):g} s; its worker was ended"

    def _replace(self, worker: Worker) -> BaseException | None:
        """Start a dead worker again; its episodes count as cut off where they were.

        Returns what an environment raised then, or that the worker dies again and again.
        """
        self.restarts += 1
        deaths = self._deaths[worker.rows[0]] = [
            turn for turn in self._deaths.get(worker.rows[0], []) if turn > self._turn - LIFE
        ] + [self._turn]
        name = f"environment worker {worker.pid} ({name_of(self._makers[worker.rows[0]])})"
        if len(deaths) >= MAX_DEATHS:
            return DataError(f"{name} died {MAX_DEATHS} times within {LIFE} steps (out of memory? see dmesg)")
        log.warning("%s died; its %d environments start again", name, len(worker.rows))
        for i in worker.rows:
            self._seeds[i] += RESTART_STEP
        try:
            return self._restart(worker)
        except Exception as problem:  # also what an environment raises while it is made
            return problem

    def _restart(self, worker: Worker) -> BaseException | None:
        """Do the present request in a new worker, in another one if that dies as well.

        Returns what an environment raised.  Raises: DataError if they die one after the other or hang.
        """
        for _ in range(MAX_STARTS):
            worker.stop()
            self._shared.rows["state"][worker.rows] |= 1  # a step then is the beginning of a new episode
            worker.begin(self._seeds)
            try:
                self._await(worker)
                worker.ask(self._turn, "step" if self._word == "step" else "reset", None)
                return worker.answer(self._patience("reset"))
            except DEATH:
                continue
            except TimeoutError:
                raise DataError(self._hangs(worker, "reset")) from None
        raise DataError(DIES)

    def _await(self, worker: Worker) -> None:
        """Wait until a worker has made its environments, for a new one if it dies on its way.

        Raises: DataError if they die one after the other or hang; what an environment raises.
        """
        for _ in range(MAX_STARTS):
            try:
                problem = worker.answer(self._patience("start"))
            except DEATH:
                worker.stop()
                worker.begin(self._seeds)
                continue
            except TimeoutError:
                raise DataError(self._hangs(worker, "start")) from None
            if problem is not None:
                raise problem
            return
        raise DataError(DIES)

"""One worker process and the environments that it steps."""

import contextlib
import functools
import math
import multiprocessing
import os
import pickle
import select
import signal
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clrepro.envs.padded_env import PaddedEnv
from clrepro.envs.shared_rows import Rows, SharedRows

Make = Callable[[], Any]
DEATH = (EOFError, ConnectionError)  # how the end of a worker shows in its pipe


class Worker:
    """A worker and the rows it serves.

    asked — a request is on its way and its answer not read; talking — a message was being written or read:
    found True later, an interrupt fell into it and the pipe holds nobody knows what.
    """

    def __init__(self, rows: list[int], makers: Sequence[Make], shared: SharedRows) -> None:
        self.rows = rows
        self._makers, self._shared = [makers[i] for i in rows], shared

    def begin(self, seeds: Sequence[int]) -> None:
        """Start the process; its first answer says that the environments are made.

        Args: seeds — of all environments.
        """
        self.turn, self.asked, self.talking = 0, True, True
        context = multiprocessing.get_context("spawn")  # frameworks with threads do not survive a fork
        self._pipe, its = context.Pipe()
        self._waiter = select.poll()
        self._waiter.register(self._pipe.fileno(), select.POLLIN)
        work = (its, self._makers, [seeds[i] for i in self.rows], self.rows, self._shared)
        self._process = context.Process(target=_serve, args=work, daemon=True)
        # Ctrl-C goes to the new process too, which would end in a traceback before it can ignore it.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        its.close()
        self.pid = int(self._process.pid or 0)
        self.talking = False

    def ask(self, turn: int, word: str, seeds: Sequence[int] | None) -> None:
        """Send a request; a broken pipe shows when the answer is read.  Args: seeds — of all environments."""
        self.turn, self.asked = turn, True
        self._send((turn, word, None if seeds is None else [seeds[i] for i in self.rows]))

    def answer(self, patience_s: float) -> BaseException | None:
        """Wait for the answer to the last request, or to `begin`.  Returns what an environment raised.

        Raises: EOFError or ConnectionError if the worker died; TimeoutError if it said nothing for so long,
        it is ended then.
        """
        while True:
            if self.talking:
                raise EOFError
            self._wait(patience_s)
            self.talking = True
            turn, told = self._pipe.recv()
            self.talking = False
            # An older answer lies before it if an interrupt kept us from reading that.
            if turn == self.turn or told is not None:
                self.asked = turn != self.turn
                return None if told is None else _unpacked(*told)

    def _wait(self, patience_s: float) -> None:
        # In slices: while the whole program is stopped (Ctrl-Z) at most one of them passes.
        slice_s = min(1.0, patience_s)
        for _ in range(math.ceil(patience_s / slice_s)):
            if self._waiter.poll(1000 * slice_s):
                return
        self._process.kill()
        raise TimeoutError

    def stop(self) -> None:
        """End the process, at the latest after two seconds."""
        self._send((0, "close", None))
        self.talking = True  # nothing more goes through this pipe
        self._pipe.close()
        self._process.join(2)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _send(self, message: Any) -> None:
        if not self.talking:
            self.talking = True
            with contextlib.suppress(ConnectionError):
                self._pipe.send(message)
            self.talking = False


def name_of(make: Make) -> str:
    """Returns a short text by which a user knows an environment: its function and what that is given."""
    if not isinstance(make, functools.partial):
        return str(getattr(make, "__qualname__", type(make).__qualname__))
    given = [repr(value) for value in make.args] + [
        f"{key}={value!r}" for key, value in make.keywords.items()
    ]
    text = f"{name_of(make.func)}({', '.join(given)})"
    return text if len(text) <= 100 else f"{text[:99]}…"


def act(padded: PaddedEnv, row: int, turn: int, word: str, seed: int | None, rows: Rows) -> None:
    """Do one request for one environment.  Raises: what the environment does; it is broken then."""
    state = rows["state"]
    broken = int(state[row]) & 1
    if word == "step" and not rows["moves"][row]:
        state[row] = 2 * turn + broken
        return
    state[row] = 2 * turn + 1
    if word == "renew":
        assert seed is not None
        padded.renew(seed)
    if broken or word != "step":
        rows["obs"][row] = padded.reset()
        # Where a broken episode was going is not known, and the new beginning would be a lie.
        rows["last"][row], rows["reward"][row] = np.nan, 0.0
        rows["terminated"][row], rows["truncated"][row] = False, word == "step"
    else:
        obs, reward, terminated, truncated, last = padded.step(rows["action"][row])
        rows["obs"][row], rows["last"][row], rows["reward"][row] = obs, last, reward
        rows["terminated"][row], rows["truncated"][row] = terminated, truncated
    state[row] = 2 * turn


def _serve(pipe: Any, makers: list[Make], seeds: list[int], rows: list[int], shared: SharedRows) -> None:
    """The worker: answers requests until the pipe closes, which it does when the parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _let_the_waker_finish()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    envs: list[PaddedEnv] = []
    _, obs_dim = shared.rows["obs"].shape
    _, act_dim = shared.rows["action"].shape
    try:
        try:
            for make, seed in zip(makers, seeds, strict=True):
                envs.append(PaddedEnv(make, obs_dim, act_dim, seed))
        except (Exception, SystemExit) as problem:
            pipe.send((0, _packed(problem)))
            return
        pipe.send((0, None))
        while True:
            turn, word, fresh = pipe.recv()
            if word == "close":
                return
            told = None
            for number, (row, padded) in enumerate(zip(rows, envs, strict=True)):
                try:
                    act(padded, row, turn, word, None if fresh is None else fresh[number], shared.rows)
                except (Exception, SystemExit) as problem:
                    told = told or _packed(problem)
            pipe.send((turn, told))
    except DEATH:
        return
    finally:
        for padded in envs:
            padded.close()


def _packed(problem: BaseException) -> tuple[bytes, str]:
    """Returns an exception as bytes, empty if it cannot be pickled, and as type and text."""
    try:
        text = f"{type(problem).__qualname__.rpartition('.')[2]}: {problem}"
    except Exception:  # an exception whose own text fails
        text = type(problem).__qualname__
    with contextlib.suppress(Exception):
        return pickle.dumps(problem), text
    return b"", text


def _unpacked(data: bytes, text: str) -> BaseException:
    """Returns the exception, or a RuntimeError of its type and text if it does not come out of its bytes."""
    with contextlib.suppress(Exception):
        problem = pickle.loads(data)  # of our own worker
        if isinstance(problem, BaseException):
            return problem
    return RuntimeError(text)


def _let_the_waker_finish() -> None:
    """Never push the parent off its core on being woken: it has other workers to wake.

    Without this the second of two workers began a millisecond late, an eighth of a step of 25 HalfCheetahs.
    """
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):  # some sandboxes refuse; then it is only slower
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

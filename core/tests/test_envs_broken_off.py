"""A request to many environments that breaks off: errors, Ctrl-C, hanging and dying workers, signals."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from clrepro.envs import VectorEnv
from clrepro.errors import DataError, UsageError


class Odd(Exception):
    """Its bytes do not come back: it takes two arguments and keeps one."""

    def __init__(self, first, second):
        super().__init__(first)


class Count:
    """Shows how many steps it has taken since it was reset; does as told at the given step of its life."""

    def __init__(self, error=0, hang=0, slow=0, death=0, ends=0):
        space = SimpleNamespace(shape=(1,), low=np.array([-9.0]), high=np.array([9.0]))
        self.observation_space = self.action_space = space
        self.life, self.error, self.hang, self.slow, self.death = 0, error, hang, slow, death
        self.ends = ends

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.array([0.0]), {}

    def step(self, action):
        self.life += 1
        if self.life == self.error:
            raise Odd("boom", 2)
        if self.life == self.death:
            os.kill(os.getpid(), signal.SIGKILL)
        while self.life == self.hang:
            time.sleep(0.01)
        if self.life == self.slow:
            time.sleep(0.5)
        self.t += 1
        return np.array([float(self.t)]), 1.0, False, self.t == self.ends, {}

    def close(self):
        pass


STILL = np.zeros((3, 1), np.float32)
COUNTERS = [partial(Count, error=3), Count, partial(Count, ends=3)]


def counters(n_workers, makers=COUNTERS, **options):
    return VectorEnv(makers, 1, 1, list(range(len(makers))), n_workers, **options)


@pytest.mark.parametrize("n_workers", [0, 1, 3])
def test_after_an_environments_error_no_other_is_a_step_behind(n_workers):
    with counters(n_workers) as envs:
        envs.reset()
        for _ in range(2):
            envs.step(STILL)
        with pytest.raises((Odd, RuntimeError), match="boom" if n_workers == 0 else "Odd: boom"):
            envs.step(STILL)
        fourth = envs.step(STILL)
        # The first broke off and begins anew; the third ended an episode in the step that nobody saw.
        assert fourth["obs"][:, 0].tolist() == [0, 4, 1]
        assert fourth["truncated"].tolist() == [True, False, True]
        np.testing.assert_array_equal(fourth["last"][:, 0], [np.nan, 4, np.nan])
        assert fourth["reward"].tolist() == [0, 1, 0]
        fifth = envs.step(STILL)
        assert fifth["obs"][:, 0].tolist() == [1, 5, 2]
        assert not fifth["truncated"].any()
        assert envs.renew([5, 6, 7])[:, 0].tolist() == [0, 0, 0]
        assert envs.step(STILL)["obs"][:, 0].tolist() == [1, 1, 1]


def interrupted_step(envs):
    """Presses Ctrl-C while a step is going on."""
    alarm = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    alarm.start()
    with pytest.raises(KeyboardInterrupt):
        envs.step(STILL)
    alarm.join()


@pytest.mark.parametrize("n_workers", [1, 3])
def test_after_ctrl_c_a_workers_step_is_finished_first(n_workers):
    with counters(n_workers, [Count, partial(Count, slow=2), Count]) as envs:
        envs.reset()
        envs.step(STILL)
        interrupted_step(envs)
        for k in (3, 4):
            assert envs.step(STILL)["obs"][:, 0].tolist() == [k, k, k]
        assert envs.renew([5, 6, 7])[:, 0].tolist() == [0, 0, 0]


def test_after_ctrl_c_the_step_that_was_left_here_is_a_cut():
    with counters(0, [Count, partial(Count, hang=2), Count]) as envs:
        envs.reset()
        envs.step(STILL)
        interrupted_step(envs)
        third = envs.step(STILL)
        assert third["obs"][:, 0].tolist() == [3, 0, 3]
        assert third["truncated"].tolist() == [False, True, False]


@pytest.mark.parametrize("moment", range(1, 70, 2))
def test_an_interrupt_at_any_line_of_a_request_puts_no_environment_behind(moment):
    lines, found = 0, []

    def trace(frame, event, _):
        nonlocal lines
        if not frame.f_code.co_filename.endswith(("envs/vector.py", "envs/worker.py", "envs/padded_env.py")):
            return None
        lines += event == "line"
        if event == "line" and lines == moment:
            raise KeyboardInterrupt
        return trace

    with counters(0, [Count, Count, Count]) as envs:
        envs.reset()
        found.append(envs.step(STILL))
        sys.settrace(trace)
        with contextlib.suppress(KeyboardInterrupt):
            envs.step(STILL)
        sys.settrace(None)
        third = envs.step(STILL)
    whole = ~third["truncated"]
    assert whole.sum() >= 2  # at most the one that was at work is cut off
    # 2 if the interrupt came before the request, else 3; but all the same.
    assert set(third["obs"][whole, 0].tolist()) in ({2.0}, {3.0})


def made_but_not_the_second_time(path):
    with open(path, "a+") as times:
        times.write("x")
        times.flush()
        times.seek(0)
        if len(times.read()) == 2:
            raise ValueError("not today")
    return Count()


@pytest.mark.parametrize("n_workers", [0, 1])
def test_environments_that_were_not_all_made_anew_are_not_stepped(n_workers, tmp_path):
    makers = [Count, partial(made_but_not_the_second_time, tmp_path / "times"), Count]
    with counters(n_workers, makers) as envs:
        envs.reset()
        with pytest.raises(ValueError, match="not today"):
            envs.renew([1, 2, 3])
        for call in (envs.reset, lambda: envs.step(STILL)):
            with pytest.raises(UsageError, match=r"not all made anew .* call renew again"):
                call()
        assert envs.renew([4, 5, 6])[:, 0].tolist() == [0, 0, 0]
        assert envs.step(STILL)["obs"][:, 0].tolist() == [1, 1, 1]


def test_a_worker_that_hangs_is_ended_and_its_environment_named():
    with counters(1, [Count, partial(Count, hang=2), Count], patience_s=0.5) as envs:
        envs.reset()
        envs.step(STILL)
        with pytest.raises(
            DataError, match=r"environment 1 \(Count\(hang=2\)\) gives no answer within 0.5 s"
        ):
            envs.step(STILL)
        after = envs.step(STILL)  # in a new worker
        assert after["truncated"].all()
        assert envs.restarts == 1


def test_environments_that_hang_as_they_are_made_are_named():
    began = time.monotonic()
    with pytest.raises(DataError, match=r"environment 0 \(sleep\(60\)\) gives no answer within 1 s"):
        counters(1, [partial(time.sleep, 60)], patience_s=0.1)
    assert time.monotonic() - began < 20


def test_a_worker_that_dies_again_and_again_is_given_up():
    with counters(2, [partial(Count, death=2), Count, Count]) as envs:
        envs.reset()
        for cut in [[False] * 3, [True, True, False]] * 2 + [[False] * 3]:
            assert envs.step(STILL)["truncated"].tolist() == cut
        with pytest.raises(DataError, match=r"\(Count\(death=2\)\) died 3 times within 1000 steps"):
            envs.step(STILL)
        assert envs.restarts == 3


ENDED_BY_A_SIGNAL = """
import os, signal, sys, time
sys.path.insert(0, {folder!r})
from functools import partial
import numpy as np
from clrepro.envs import VectorEnv
from test_envs_broken_off import Count

if __name__ == "__main__":
    envs = VectorEnv([partial(Count, slow=2)] * 2, 1, 1, [0, 1], 2)
    envs.reset()
    envs.step(np.zeros((2, 1), np.float32))
    print(*(worker.pid for worker in envs._workers), flush=True)
    envs.step(np.zeros((2, 1), np.float32))
    time.sleep(60)
"""


@pytest.mark.parametrize("whom", ["group", "parent", "worker"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whatever_signal_ends_it_nothing_is_left_and_nothing_said(whom, number, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(ENDED_BY_A_SIGNAL.format(folder=str(Path(__file__).parent)))
    running = subprocess.Popen(
        [sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    pids = [int(pid) for pid in running.stdout.readline().split()]
    time.sleep(0.1)
    if whom == "worker":
        os.kill(pids[0], number)
        time.sleep(0.1)
    os.killpg(running.pid, number) if whom == "group" else running.send_signal(number)
    _, said = running.communicate(timeout=60)
    assert "leaked" not in said
    assert "shared_memory" not in said
    assert said.count("Traceback") == (number == signal.SIGINT)  # the program's own KeyboardInterrupt
    for pid in pids:
        for _ in range(100):  # they end when their pipe does
            if not Path(f"/proc/{pid}").exists():
                break
            time.sleep(0.1)
        else:
            pytest.fail(f"worker {pid} is still there")

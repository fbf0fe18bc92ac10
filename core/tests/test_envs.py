"""Many environments at once: the same trajectories over any number of workers, padding, dead workers."""

import os
import signal
import warnings
from functools import partial

import numpy as np
import pytest

from clrepro.envs import VectorEnv, modern
from clrepro.errors import DataError, UsageError


class Box:
    """As much of a space as is needed."""

    def __init__(self, size):
        self.shape, self.low, self.high = (size,), -np.ones(size), np.ones(size)


class Walk:
    """A random walk pushed by the action; ends beyond 3, is cut off after `limit` steps."""

    def __init__(self, size=2, limit=20, explode=False):
        self.observation_space, self.action_space = Box(size), Box(1)
        self.limit, self.explode = limit, explode
        self.rng = np.random.default_rng()

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.x, self.t = np.zeros(self.observation_space.shape), 0
        return self.x.copy(), {}

    def step(self, action):
        if self.explode:
            raise ValueError("this environment explodes")
        self.x = self.x + self.rng.normal(size=self.x.shape) + action[0]
        self.t += 1
        ended = bool(abs(self.x[0]) > 3)
        return self.x.copy(), float(self.x[0]), ended, self.t >= self.limit and not ended, {}

    def close(self):
        pass


class OldWalk:
    """The interface of gym before 0.26."""

    def __init__(self):
        self.inner = Walk(limit=3)
        self.observation_space, self.action_space = self.inner.observation_space, self.inner.action_space

    def seed(self, seed):
        self.number = seed

    def reset(self):
        return self.inner.reset(seed=self.number)[0]

    def step(self, action):
        x, r, ended, cut, _ = self.inner.step(action)
        return x, r, ended or cut, {"TimeLimit.truncated": cut}

    def close(self):
        pass


def vector(n_workers, n=5, **options):
    return VectorEnv([partial(Walk, 2, 8, **options)] * n, 4, 3, list(range(10, 10 + n)), n_workers)


def trajectory(envs, steps=40):
    rng = np.random.default_rng(0)
    out = [envs.reset()]
    for _ in range(steps):
        seen = envs.step(rng.uniform(-1, 1, (envs.n, 3)).astype(np.float32))
        out += [
            seen[name].astype(np.float64) for name in ("obs", "last", "reward", "terminated", "truncated")
        ]
    return out


def test_any_number_of_workers_gives_the_same_trajectories():
    runs = []
    for n_workers in (0, 1, 2):
        with vector(n_workers) as envs:
            runs.append(trajectory(envs))
    for other in runs[1:]:
        for a, b in zip(runs[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert any(done.any() for done in runs[0][4::5]), "some episode has to end"


@pytest.mark.parametrize("n_workers", [0, 2])
def test_those_that_stand_still_are_as_they_were(n_workers):
    moves = np.array([True, False, True, True, False])
    with vector(n_workers) as envs, vector(0) as all_move:
        for each in (envs, all_move):
            each.reset()
            each.step(np.ones((5, 3), np.float32))
        before, _ = (each.step(np.ones((5, 3), np.float32)) for each in (envs, all_move))
        after = envs.step(np.ones((5, 3), np.float32), moves)
        third = all_move.step(np.ones((5, 3), np.float32))
        later = envs.step(np.ones((5, 3), np.float32))
        for name in third:
            np.testing.assert_array_equal(after[name][moves], third[name][moves])
            np.testing.assert_array_equal(after[name][~moves], before[name][~moves])
            np.testing.assert_array_equal(later[name][~moves], third[name][~moves])


def test_the_last_observation_is_kept_when_the_next_episode_begins():
    with vector(0) as envs:
        envs.reset()
        for _ in range(30):
            seen = envs.step(np.ones((5, 3), np.float32))
            over = seen["terminated"] | seen["truncated"]
            assert np.all(seen["obs"][over] == 0)
            assert np.all(np.abs(seen["last"][seen["terminated"], 0]) > 3)
            np.testing.assert_array_equal(seen["obs"][~over], seen["last"][~over])
            assert np.all(seen["obs"][:, 2:] == 0), "padding"


def test_made_anew_is_made_for_the_first_time():
    with vector(0) as envs, vector(0) as fresh:
        trajectory(envs, 7)
        np.testing.assert_array_equal(envs.renew([10, 11, 12, 13, 14]), fresh.reset())
        a = envs.step(np.ones((5, 3), np.float32))
        np.testing.assert_array_equal(a["obs"], fresh.step(np.ones((5, 3), np.float32))["obs"])


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="scheduling policies are Linux's")
def test_a_woken_worker_does_not_push_its_parent_aside():
    with vector(2) as envs:
        assert [os.sched_getscheduler(worker.pid) for worker in envs._workers] == [os.SCHED_BATCH] * 2


def test_a_dead_worker_is_started_again_and_reported(caplog):
    with vector(2) as envs:
        envs.reset()
        envs.step(np.zeros((5, 3), np.float32))
        os.kill(envs._workers[0].pid, signal.SIGKILL)
        lost = envs.step(np.zeros((5, 3), np.float32))
        assert envs.restarts == 1
        assert np.all(lost["truncated"][:3])
        assert np.all(np.isnan(lost["last"][:3]))
        assert np.all(np.isfinite(lost["last"][3:]))
        assert np.all(np.isfinite(envs.step(np.zeros((5, 3), np.float32))["last"]))
    assert "start again" in caplog.text


def die_while(path, n):
    """An environment whose first `n` processes die while they make it."""
    with open(path, "a+") as deaths:
        deaths.seek(0)
        if len(deaths.read()) < n:
            deaths.write("x")
            deaths.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    return Walk()


def test_workers_that_die_as_they_start_are_replaced_twice_and_then_reported(tmp_path):
    seeds = [0]
    with VectorEnv([partial(die_while, tmp_path / "few", 2)], 3, 2, seeds, 1) as envs:
        assert envs.reset().shape == (1, 3)
    with pytest.raises(DataError, match="die as they start, 3 times"):
        VectorEnv([partial(die_while, tmp_path / "many", 99)], 3, 2, seeds, 1)


def test_an_environments_own_error_reaches_the_caller():
    for n_workers in (0, 1):
        with vector(n_workers, explode=True) as envs:
            envs.reset()
            with pytest.raises(ValueError, match="explodes"):
                envs.step(np.zeros((5, 3), np.float32))


@pytest.mark.parametrize("n_workers", [0, 1])
@pytest.mark.parametrize(("obs_dim", "act_dim", "name"), [(1, 3, "observation"), (4, 0, "action")])
def test_spaces_beyond_the_padding_are_refused(n_workers, obs_dim, act_dim, name):
    with pytest.raises(UsageError, match=name):
        VectorEnv([Walk], obs_dim, act_dim, [0], n_workers)


def test_closing_twice_leaves_no_process():
    envs = vector(2)
    pids = [worker.pid for worker in envs._workers]
    envs.close()
    envs.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_old_environments_speak_the_new_language():
    env = modern(OldWalk())
    first, _ = env.reset(seed=3)
    np.testing.assert_array_equal(first, [0, 0])
    ends = [env.step([0.0])[2:4] for _ in range(3)]
    assert ends[-1] == (False, True)
    assert modern(Walk()).__class__ is Walk


def pendulum():
    """A real environment of gym 0.26, whose own checker does not know numpy 2."""
    import gym

    return gym.make("Pendulum-v1", disable_env_checker=True)


def test_a_real_gym_0_26_environment_runs_over_any_number_of_workers():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gym says that it is not maintained any more
        pytest.importorskip("gym", reason="gym 0.26 is not among this environment's packages")
        seen = []
        for n_workers in (0, 2):
            with VectorEnv([pendulum] * 2, 4, 3, [1, 2], n_workers) as envs:
                rows = [envs.reset()]
                got = [envs.step(np.full((2, 3), 0.3, np.float32)) for _ in range(200)]
            seen.append(np.stack([*rows, *(step["obs"] for step in got)]))
            assert got[-1]["truncated"].all()
            assert not got[-1]["terminated"].any()
            assert not np.any(got[-1]["last"][:, 3:])  # padding
    np.testing.assert_array_equal(*seen)

"""Oracle 26: the original's parallel environments: shapes, seeds, rewards, and what step must not do."""

from functools import partial

import numpy as np
import pytest

from hvcl_repro.rl.parallel import SubprocVecEnv, make_mp_envs
from hvcl_repro.rl.points import POINTS, Point


def rollout(num_workers, steps=60, env_id="PointLeft-v0", n_actions=2):
    with make_mp_envs(env_id, 3, num_workers=num_workers) as envs:
        out = [envs.reset()]
        rng = np.random.default_rng(0)
        for _ in range(steps):
            obs, reward, done, infos = envs.step(rng.uniform(-1, 1, (3, 1, n_actions)))
            out += [obs, reward, done, np.array([info["raw_reward"] for info in infos])]
    return out


def test_workers_do_not_change_what_happens():
    serial, parallel = rollout(0), rollout(2)
    for a, b in zip(serial, parallel, strict=True):
        np.testing.assert_array_equal(a, b)
    assert serial[0].shape == (3, 28)
    assert serial[0].dtype == np.float32


def test_nor_with_real_physics():
    options = {"steps": 40, "env_id": "HopperPyBulletEnv-v0", "n_actions": 3}
    for a, b in zip(rollout(0, **options), rollout(2, **options), strict=True):
        np.testing.assert_array_equal(a, b)


def test_real_observations_are_padded_and_no_worker_is_left():
    envs = make_mp_envs("HopperPyBulletEnv-v0", 2, num_workers=2)
    workers = [worker._process for worker in envs._envs._workers]
    seen = envs.reset()
    assert seen.shape == (2, 28)
    assert np.any(seen[:, :15] != 0, axis=1).all()
    assert not seen[:, 15:].any()
    envs.close()
    envs.close()
    assert len(workers) == 2
    assert not any(worker.is_alive() for worker in workers)


def test_infos_tell_a_time_limit_from_an_end():
    with make_mp_envs("PointRight-v0", 2, num_workers=0, norm_reward=False) as envs:
        envs.reset()
        for _ in range(50):
            obs, reward, done, infos = envs.step(np.ones((2, 1)))
        assert done.all()
        assert all(info["truncated"] and not info["terminated"] for info in infos)
        assert np.all(np.abs([info["final_observation"][0] for info in infos]) > 1.4)
        assert np.all(np.abs(obs[:, 0]) <= 0.2)  # the next episode has begun
        np.testing.assert_array_equal(reward, envs.get_original_reward())


def test_copies_are_seeded_one_by_one():
    with make_mp_envs("PointLeft-v0", 2, num_workers=0, start_idx=1) as later:
        with make_mp_envs("PointLeft-v0", 3, num_workers=0) as envs:
            np.testing.assert_array_equal(later.reset(), envs.reset()[1:])


def test_two_steps_at_once_are_refused():
    with make_mp_envs("PointRight-v0", 1, num_workers=0) as envs:
        envs.reset()
        envs.step_async(np.zeros((1, 1)))
        with pytest.raises(RuntimeError, match="not been waited for"):
            envs.step_async(np.zeros((1, 1)))
        envs.step_wait()
        with pytest.raises(RuntimeError, match="no step was begun"):
            envs.step_wait()


class FailsOnce(Point):
    """Raises at its second step."""

    def step(self, action):
        if self._t == 1 and not hasattr(self, "failed"):
            self.failed = True
            raise ValueError("a joint came off")
        return super().step(action)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_step_that_raised_is_not_open_for_ever(num_workers):
    makers = [partial(FailsOnce, **POINTS["PointRight-v0"]), partial(Point, **POINTS["PointRight-v0"])]
    with SubprocVecEnv(makers, [1, 2], num_workers=num_workers) as envs:
        envs.reset()
        envs.step(np.zeros((2, 1)))
        with pytest.raises(ValueError, match="a joint came off"):
            envs.step(np.zeros((2, 1)))
        _, _, done, infos = envs.step(np.zeros((2, 1)))
        assert done.tolist() == [True, False]
        assert np.isnan(infos[0]["final_observation"]).all()

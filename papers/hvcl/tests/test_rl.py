"""Oracle 20, Oracle 25, Oracle 26, Oracle 27: environments, the loop, files, resuming, bad input."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clrepro.errors import UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.progress import Progress
from clrepro.seeding import Seeds
from hvcl_repro.rl import curves
from hvcl_repro.rl.cli import main, parser, settings_of
from hvcl_repro.rl.environments import KNOWN, SETS, make, maker, sizes
from hvcl_repro.rl.evaluate import Examiner
from hvcl_repro.rl.outputs import ragged
from hvcl_repro.rl.points import POINTS, Point
from hvcl_repro.rl.settings import RLSettings
from hvcl_repro.rl.train import Loop

FOLDER = Path(__file__).resolve().parents[1]
TINY = RLSettings(
    env_set="toy", hidden_u=8, batch_s=16, train_steps=800, train_interval=200, updates=5,
    replay_start_size=100, eval_interval=400, eval_episodes=2, checkpoint_interval=400,
)  # fmt: skip


@pytest.mark.parametrize("env_id", SETS["pybullet"])
def test_sizes_of_the_contract_and_seeds(env_id):
    """Oracle 26."""
    seen = []
    for seed in (3, 3, 4):
        env = make(env_id)
        rows = [env.reset(seed=seed)[0]]
        assert env.observation_space.shape == (KNOWN[env_id].obs,)
        assert env.action_space.shape == (KNOWN[env_id].act,)
        rng = np.random.default_rng(0)
        for _ in range(49):
            rows.append(env.step(rng.uniform(-1, 1, KNOWN[env_id].act).astype(np.float32))[0])
        env.close()
        seen.append(np.stack(rows))
    np.testing.assert_array_equal(*seen[:2])
    assert np.any(seen[0] != seen[2])


def test_a_fallen_half_cheetah_ends_its_episode():
    """Oracle 26."""
    env, rng, lengths = make("HalfCheetahPyBulletEnv-v0"), np.random.default_rng(0), []
    for seed in range(2):
        env.reset(seed=seed)
        length = 0
        for _ in range(1000):
            *_, terminated, truncated, _ = env.step(rng.uniform(-1, 1, 6).astype(np.float32))
            length += 1
            if terminated or truncated:
                break
        lengths.append(length)
    env.close()
    assert max(lengths) < 1000


def test_the_best_policy_of_a_point_has_the_return_it_says():
    for options in POINTS.values():
        env = Point(**options)
        env.reset(seed=0)
        env._x[:] = 0
        total, goal = 0.0, options["goal"]
        for _ in range(50):
            push = np.clip((goal - env._x) / (0.1 * options["sign"]), -1, 1)
            total += env.step(push)[1]
        assert total == pytest.approx(env.best_return(), rel=1e-9)


def test_examinations_repeat_themselves():
    examiner = Examiner("PointLeft-v0", [1, 2, 3])
    policy = lambda seen: np.full((len(seen), 8), -0.5, np.float32)  # noqa: E731
    first, steps = examiner.returns(policy)
    np.testing.assert_array_equal(first, examiner.returns(policy)[0])
    assert steps == 150
    examiner.close()


def test_an_examination_in_which_a_worker_died_is_done_again():
    quiet, disturbed = (Examiner("PointLeft-v0", [1, 2, 3], n) for n in (0, 1))
    calls = []

    def policy(seen):
        calls.append(len(calls))
        if calls[-1] == 20 + 50:  # the quiet one takes 50
            os.kill(disturbed._envs._workers[0].pid, signal.SIGKILL)
        return np.full((len(seen), 8), -0.5, np.float32)

    want = quiet.returns(policy)
    found = disturbed.returns(policy)
    np.testing.assert_array_equal(found[0], want[0])
    assert len(calls) == 50 + 21 + 50
    assert (disturbed.restarts, quiet.restarts) == (1, 0)
    for examiner in (quiet, disturbed):
        examiner.close()


def loop(settings, folder=None):
    return Loop(settings, Seeds(settings.seed), folder, 0, 0)


def test_counts_of_evaluations_and_layout(tmp_path):
    """Oracle 27: floor(train_steps / interval) evaluations per task and environment seen."""
    r = loop(replace(TINY, train_steps=1000)).run()
    assert [[len(values) for values in segment] for segment in r.curves] == [[2], [2, 2], [2, 2, 2]]
    assert r.train_steps == 3 * 1000
    array = ragged(r.curves)
    assert array.dtype == object
    assert [len(segment) for segment in array] == [1, 2, 3]


def test_a_time_limit_is_stored_as_no_end():
    """Oracle 18: a truncated row goes on from what the step led to; the original's has an end there."""
    for compat, ends, far in (("fixed", 0, 0), ("terminal", 4, 4)):
        one = loop(replace(TINY, compat=compat, train_steps=200, replay_start_size=10**6))
        one._evaluate = lambda *_: None
        one._task(0.0, Progress.silent().run(3))
        rows = one.buffer.columns.read(np.arange(200))
        jump = np.abs(rows["states1"][:, 0] - rows["states0"][:, 0]) > 0.1001  # further than any push
        assert rows["terminals1"].sum() == ends
        assert jump.sum() <= far
        assert np.all(jump <= (rows["terminals1"] > 0))


def test_same_seed_same_file_and_another_seed_another(tmp_path):
    """Oracle 25: to the last byte."""
    words = (
        "--env_set toy --train_steps 400 --train_interval 200 --updates 2 --batch_s 8 --hidden_u 4 "
        "--eval_interval 200 --replay_start_size 100 --eval_episodes 1 --seed"
    ).split()
    arrays = []
    for number, seed in enumerate("112"):
        assert main([*words, seed, "--out_dir", str(tmp_path / str(number))]) == 0
        (array,) = (tmp_path / str(number)).glob("*.npy")
        arrays.append(array.read_bytes())
    assert arrays[0] == arrays[1] != arrays[2]


def test_killed_and_resumed_is_the_straight_run(tmp_path, monkeypatch):
    straight = loop(TINY, RunDir(tmp_path / "straight")).run()
    real, calls = Loop._collect, []

    def killed(self, envs, seen):
        calls.append(1)
        if len(calls) == 8:  # in the middle of the second task, after its first checkpoint
            raise KeyboardInterrupt
        return real(self, envs, seen)

    monkeypatch.setattr(Loop, "_collect", killed)
    folder = RunDir(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        loop(TINY, folder).run()
    monkeypatch.setattr(Loop, "_collect", real)
    resumed = loop(TINY, folder)
    r = resumed.run()
    assert resumed.task == 3
    assert r.curves == straight.curves
    assert (r.train_steps, r.eval_steps, r.updates) == (
        straight.train_steps,
        straight.eval_steps,
        straight.updates,
    )


def test_lost_losses_stop_with_a_line_that_names_the_checkpoint(tmp_path, monkeypatch):
    from hvcl_repro.rl.sac import SAC

    real, calls = SAC.train, []

    def lost(self, batch, weights, n):
        calls.append(1)
        report, errors = real(self, batch, weights, n)
        return ({**report, "q_loss": float("nan")} if len(calls) == 4 else report), errors

    monkeypatch.setattr(SAC, "train", lost)
    with pytest.raises(FloatingPointError, match=r"q_loss is nan in PointRight.* the last checkpoint is in"):
        loop(TINY, RunDir(tmp_path)).run()
    assert (tmp_path / "run.state").is_file()


def test_sums_of_curves_by_hand():
    c = [[[1.0, 2.0, 4.0]], [[2.0, 2.0, 2.0], [10.0, 20.0, 30.0]]]
    r = curves.matrix(c)
    np.testing.assert_allclose(r, [[7 / 3, np.nan], [2.0, 20.0]])
    assert curves.self_normalised(c) == pytest.approx(2 / 4 + 20 / 30)
    assert np.isnan(curves.self_normalised([[[-1.0]]]))
    assert curves.reference_normalised(r, [1.0, 0.0], [3.0, 10.0]) == pytest.approx(0.5 + 1.5)
    np.testing.assert_allclose(curves.retention(r, [1.0, 0.0]), [(2 - 1) / (7 / 3 - 1), 1.0])


def test_flags_of_the_original_and_their_defaults():
    """Oracle 27."""
    settings = settings_of(vars(parser().parse_args([])))
    assert not settings.hvcl
    expected = dict(
        batch_s=256, hidden_u=32, lr=3e-4, gamma=0.99, e_beta=1.0, g_beta=1.0, polyak_coef=0.995,
        train_steps=1_000_000, replay_start_size=10_000, buffer_size=1_000_000, train_interval=5000,
        n_exp=2, k=1, save_pref="", seed=1234,
    )  # fmt: skip
    assert {name: getattr(settings, name) for name in expected} == expected
    assert settings.n_envs == 50
    words = "--hvcl --n_exp 4 --k 9 --hidden_u 64 --e_beta 1.0 --g_beta 0.5".split()
    name = settings_of(vars(parser().parse_args(words))).file_name
    assert name == (
        "_no_contreplay_prio_replay_weighted_vmoe_4_exp_4_k_64_units_0.500_gb_1.000_eb_1M_soft_deep_norms_eval_baselines.npy"
    )


def test_names_and_sizes():
    """Oracle 26."""
    assert sizes(SETS["pybullet"]) == [(22, 6), (26, 6), (28, 8), (9, 1), (15, 3)]
    with pytest.raises(UsageError, match="one of Walker2DPyBulletEnv-v0"):
        maker("Walker3D")
    with pytest.raises(UsageError, match="100 or more"):
        loop(replace(TINY, train_interval=50))


def command(words, program="SAC_main.py"):
    return subprocess.run(
        [sys.executable, program, *words],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ,
    )


def test_both_names_are_one_program():
    """Oracle 27."""
    assert "from SAC_main import main" in (FOLDER / "HVCL_rl_main.py").read_text()


@pytest.mark.parametrize("program", ["SAC_main.py", "HVCL_rl_main.py"])
def test_help_lists_the_flags_at_once(program):
    """Oracle 27: all 16, each with its default."""
    done = command(["--help"], program)
    assert done.returncode == 0
    defaults = {
        "batch_s": 256, "hidden_u": 32, "lr": 0.0003, "gamma": 0.99, "e_beta": 1.0, "g_beta": 1.0,
        "polyak_coef": 0.995, "train_steps": 1000000, "replay_start_size": 10000, "buffer_size": 1000000,
        "train_interval": 5000, "n_exp": 2, "k": 1, "save_pref": "none",
    }  # fmt: skip
    listed = " ".join(done.stdout.split("options:")[1].split())
    said = {found[1]: found[2] for found in re.finditer(r"--(\w+) [A-Z_]+ [^(]*\(default: ([^)]*)\)", listed)}
    assert {flag: said[flag] for flag in defaults} == {flag: str(value) for flag, value in defaults.items()}
    assert "--hvcl MoVE networks" in listed
    assert "--no-hvcl plain networks (default)" in listed


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--n_exp", "0"], "must be 1 or more"),
        (["--gamma", "1.5"], "from 0 to 1"),
        (["--hvcl", "--method", "dense"], "one of the two"),
        (["--save_pref", "../elsewhere"], "without folders"),
        (["--env_set", "mars"], "one of pybullet"),
    ],
)
def test_bad_flags_end_in_one_line(words, reason):
    done = command(words)
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_command_writes_the_array_and_the_readable_file(tmp_path):
    """Oracle 27."""
    words = (
        "--env_set toy --train_steps 400 --train_interval 200 --updates 2 --batch_s 8 --hidden_u 4 "
        "--eval_interval 200 --replay_start_size 100 --eval_episodes 2 --save_pref mine"
    ).split()
    done = command([*words, "--out_dir", str(tmp_path)])
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert lines[0].startswith("TensorFlow 2")
    assert lines[1].startswith("Keras 2")
    assert lines[2].startswith("Largest Obs Dim: 5, from Env PointMirror")
    assert lines[3].startswith("Largest Act Dim: 2, from Env PointLeft")
    assert sum("rewards [" in line for line in lines) == 6
    (array,) = tmp_path.glob("mine_no_contreplay*.npy")
    saved = np.load(array, allow_pickle=True)  # written by this test's own process
    assert [[len(values) for values in segment] for segment in saved] == [[2], [2, 2], [2, 2, 2]]
    body = json.loads(array.with_suffix(".json").read_text())
    assert body["curves"] == [list(segment) for segment in saved]
    assert body["steps"]["train"] == 1200


@pytest.mark.slow
@pytest.mark.parametrize(("method", "lr", "train_steps"), [("dense", 2e-3, 6000), ("hvcl", 5e-4, 8000)])
def test_it_learns_a_point_mass(method, lr, train_steps):
    """Oracle 20: within a tenth of the best return on the first task; HVCL needs smaller steps."""
    settings = replace(
        TINY, hvcl=method == "hvcl", method=method, train_steps=train_steps, train_interval=400, updates=200,
        batch_s=64, hidden_u=16, replay_start_size=400, eval_interval=1000, eval_episodes=5, lr=lr,
    )  # fmt: skip
    one = loop(settings)
    one.env_ids = one.env_ids[:1]
    best = Point(**POINTS[one.env_ids[0]]).best_return()
    assert max(one.run().curves[0][0]) > 0.9 * best

"""The PPO baselines: advantages, Fisher information and penalties by hand; runs, files, resuming."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clrepro.io.checkpoint import RunDir
from clrepro.seeding import Seeds
from hvcl_repro.baselines import ppo
from hvcl_repro.baselines.penalties import EWC, UCL, fisher
from hvcl_repro.baselines.policy import Policy
from hvcl_repro.baselines.settings import PPOSettings
from hvcl_repro.baselines.train import Baseline, ObservationScale

FOLDER = Path(__file__).resolve().parents[1]
TINY = PPOSettings(
    env_set="toy", num_processes=2, num_steps=20, num_env_steps=80, ppo_epoch=2, num_mini_batch=2, hidden=4,
    eval_episodes=2, eval_interval=1, fisher_samples=10,
)  # fmt: skip


def policy(**settings):
    return Policy(replace(TINY, **settings), 3, torch.Generator().manual_seed(0))


def test_advantages_by_hand():
    column = [torch.tensor([[v] for v in values]) for values in (
        [0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [1.0, 2.0, 9.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0],
    )]  # fmt: skip
    values, rewards, after, end, terminal = column
    empty = torch.zeros((3, 1, 1))
    rollout = ppo.Rollout(empty, empty, values, values, rewards, after, end, terminal)
    found = ppo.advantages(rollout, 0.5, 0.5)[:, 0]
    delta = [1 + 0.5 * 1 - 0, 2 + 0 - 1, 3 + 0.5 * 9 - 2]
    np.testing.assert_allclose(found, [delta[0] + 0.25 * delta[1], delta[1], delta[2]])
    # Cut off at the first step: what follows still has its value, but no advantage flows back.
    rollout.end = torch.ones_like(end)
    np.testing.assert_allclose(ppo.advantages(rollout, 0.5, 0.5)[:, 0], delta)


def test_fisher_of_a_gaussian_mean_is_the_inverse_variance():
    net = policy(approach="fine-tuning")
    with torch.no_grad():
        net.log_std[0].fill_(-0.5)
    mask = torch.tensor([1.0] + [0.0] * 7)
    states = torch.zeros((4000, 28))
    found = fisher(net, states, 0, mask, torch.Generator().manual_seed(1))
    assert float(found["mean.0.bias"][0]) == pytest.approx(np.exp(1.0), rel=0.1)
    assert float(found["log_std.0"][0]) == pytest.approx(2.0, rel=0.15)
    assert float(found["mean.0.bias"][1:].abs().max()) == 0.0  # padded actions carry nothing
    assert float(found["mean.1.bias"].abs().max()) == 0.0  # nor do other tasks' heads


def test_ewc_is_half_lambda_f_distance_squared():
    net, ewc = policy(approach="ewc"), EWC(3.0, online=False)
    assert float(ewc.loss(net).detach()) == 0.0
    ewc.close(net, {"mean.0.bias": torch.full((8,), 2.0)})
    with torch.no_grad():
        net.mean[0].bias += 0.5
    assert float(ewc.loss(net).detach()) == pytest.approx(0.5 * 3 * 8 * 2 * 0.25)


def test_ucl_holds_certain_nodes_more():
    net = policy(approach="ucl")
    ucl = UCL(net, 0.1, 0.0)
    ucl.close(net)
    layer = net.actor[1]
    losses = []
    for rho in (-2.2522, -5.0):  # deviation 0.1 as at the start, then a certain node
        with torch.no_grad():
            layer.rho.fill_(-2.2522)
            layer.rho[0] = rho
        ucl.close(net)
        with torch.no_grad():
            layer.mu[0] += 0.1
        losses.append(float(ucl.loss(net).detach()))
        with torch.no_grad():
            layer.mu[0] -= 0.1
    assert losses[1] > 10 * losses[0] > 0
    ucl.close(net)
    assert float(ucl.loss(net).detach()) == pytest.approx(0.0, abs=1e-9)


def test_value_is_one_number_per_row_from_the_critics_layers():
    net = policy(approach="fine-tuning")
    x = torch.randn((5, 28), generator=torch.Generator().manual_seed(0))
    before = net(x, 1)[2]
    with torch.no_grad():
        for p in net.actor.parameters():
            p += 1.0
    torch.testing.assert_close(net(x, 1)[2], before)
    torch.testing.assert_close(net(x[2:3], 1)[2], before[2:3])


def test_observation_scale():
    rng, scale = np.random.default_rng(0), ObservationScale()
    x = rng.normal(3, 2, (500, 28)).astype(np.float32)
    for part in np.split(x, 5):
        scale.see(part)
    np.testing.assert_allclose(scale.scaled(x), np.clip((x - x.mean(0)) / x.std(0), -10, 10), atol=1e-2)


@pytest.mark.parametrize("approach", ["fine-tuning", "ewc", "ucl"])
@pytest.mark.parametrize("heads", ["multi", "single"])
def test_stopped_after_a_task_and_resumed_is_the_straight_run(approach, heads, tmp_path, monkeypatch):
    settings = replace(TINY, approach=approach, heads=heads)
    straight = Baseline(settings, Seeds(1), None, 0).run()
    real = Baseline._task

    def killed(self, task, course):
        if task == 2:
            raise KeyboardInterrupt
        real(self, task, course)

    monkeypatch.setattr(Baseline, "_task", killed)
    with pytest.raises(KeyboardInterrupt):
        Baseline(settings, Seeds(1), RunDir(tmp_path), 0).run()
    monkeypatch.setattr(Baseline, "_task", real)
    resumed = Baseline(settings, Seeds(1), RunDir(tmp_path), 0).run()
    assert resumed.curves == straight.curves
    assert [[len(values) for values in segment] for segment in straight.curves] == [[2], [2, 2], [2, 2, 2]]


def command(words):
    return subprocess.run(
        [sys.executable, "UCL_EWC_RL/main_rl.py", *words], cwd=FOLDER, capture_output=True, text=True,
        timeout=200, env=os.environ,
    )  # fmt: skip


def test_command_writes_the_originals_files(tmp_path):
    from scipy.io import loadmat

    words = "--experiment roboschool --approach ewc --ewc-lambda 5000 --date 0 --env_set toy --num-steps 20"
    words += " --num-processes 2 --num-env-steps 80 --ppo-epoch 1 --num-mini-batch 2 --eval-interval 1"
    words += " --eval_episodes 2 --gail --algo a2c"
    done = command([*words.split(), "--out_dir", str(tmp_path)])
    assert done.returncode == 0, done.stderr[-2000:]
    saved = loadmat(
        tmp_path / "result_data" / "0_roboschool_ewc_1_lamb_5000_conv_result.mat", simplify_cells=True
    )
    tests = saved["te_reward_arr"]
    assert set(tests) == {"mean", "max", "min"}
    np.testing.assert_array_equal(tests["mean"]["task2"][:4], 0)
    assert tests["mean"]["task2"][4] != 0
    assert (tmp_path / "trained_models" / "ppo" / "0_roboschool_ewc_1_lamb_5000_conv_task_2.pt").is_file()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--experiment", "roboschool"], "--approach"),
        (["--approach", "ewc"], "--experiment"),
        (
            ["--experiment", "roboschool", "--approach", "ewc", "--ewc-online", "maybe"],
            "not one of true, false",
        ),
        (["--experiment", "roboschool", "--approach", "ewc", "--num-env-steps", "5"], "less than one update"),
    ],
)
def test_bad_flags_end_in_one_line(words, reason):
    done = command(words)
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr

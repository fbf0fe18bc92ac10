"""Oracle 28: the files the original's README names, imported from the paper's folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1]
README = """
import tensorflow as tf, tf_keras
from DenseMoVE import DenseMoVE, DenseMoE
from ConvMoVE import Conv2DMoVE, ConvMoE
x = DenseMoE(units=64, expert_activation=tf.nn.relu, gating_activation=tf.nn.softmax, n_experts=2,
    gating_beta=0.5, expert_beta=1.0, name="dense", diversity_bonus=0.05,
    entropy_fun=None, kl_div_fun=None)(tf.ones((2, 8)))
y = Conv2DMoVE(n_filters=64, kernel_size=(3, 3), expert_activation=tf.nn.relu, strides=1, padding="same",
    gating_activation=tf.nn.softmax, n_experts=2, gating_beta=0.5, expert_beta=1.0,
    diversity_bonus=0.01)(tf.ones((2, 8, 8, 3)))
print(x.shape, y.shape)
"""


def in_folder(code):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True, timeout=120, env=os.environ
    )


def test_the_readmes_layers():
    done = in_folder(README)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "(2, 64) (2, 8, 8, 64)"


@pytest.mark.parametrize(
    "line",
    [
        "from ConvMoVE import Conv1DMoE, Convolution3DMoVE, Convolution2DMoE, ConvMoVE",
        "from SparseDispatcher import SparseDispatcher; from sum_tree import SumTree; "
        "from ExperienceBuffer import ExperienceBuffer, BetaSchedule",
        "from HVCL_rl_agent import Agent; from HVCL_rla import SAC; from parallel_gym import make_mp_envs; "
        "from HVCL_rl_utils import ActorNetwork, SoftQNetwork, OUNoise; "
        "from replay_buffer import ReplayBuffer; ReplayBuffer(28, 8, max_size=5).store(0, 0, 0, 0, False)",
        "from initializer import HeNormalExpertInitializer, XavierUniformExpertInitializer",
    ],
)
def test_other_names(line):
    done = in_folder(line)
    assert done.returncode == 0, done.stderr[-2000:]

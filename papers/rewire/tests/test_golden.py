"""Two tasks of every method with `paper_faithful=True`, against what the original's modules gave.

The numbers were made by running the agents, critics, EWC and permutations of the authors' repository (October
2023) in the course of its SAC and fine-tuning, with the weights, batches, noise and draws of this file: three
updates per task, PackNet two more.  Delays are 1: the original counts its updates from 0, we from 1.
"""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rewire_repro.networks import TwinCritics
from rewire_repro.replay import Batch
from rewire_repro.sac import Sac

N_IN, N_ACTIONS, HIDDEN, ROWS = 3, 2, 8, 4
MODES = ((0, 2), (1, 0), (2, 1))  # of targets and of the policy, update by update
KINDS = {
    "ft_1": ("ActionAgent", {}),
    "sac_n": ("FromScratchActionAgent", {}),
    "ft_n": ("MultiActionAgent", {}),
    "ft_l2": ("L2ActionAgent", {"l2_coeff": 0.5}),
    "ewc": ("EWCActionAgent", {"fisher_coeff": 0.5}),
    "pnn": ("PNNActionAgent", {}),
    "packnet": ("PacknetActionAgent", {"prune_coeff": 0.75}),
    "csp": ("SubspaceActionAgent", {"dist_type": "flat"}),
    "rewire": ("RewireActionAgent", {"tau": 0.5, "beta": 0.1, "cycle": -1, "divergence": 0.05, "coeff": 0.5,
                                     "divergence_batch": ROWS}),
}  # fmt: skip
# Actions of tasks 0 and 1 (two observations, two actions each), then both critics' values of two pairs.
GOLDEN = {
    "ft_1": (
        [[-0.636885, -0.292737, -0.685652, -0.288181],
         [-0.636885, -0.292737, -0.685652, -0.288181]],
        [[0.060343, -0.184918], [0.247158, 0.137543]],
    ),
    "sac_n": (
        [[-0.645688, -0.423849, -0.743843, -0.428446],
         [-0.695815, -0.181742, -0.719339, -0.125540]],
        [[0.060144, -0.185742], [0.247662, 0.133787]],
    ),
    "ft_n": (
        [[-0.645688, -0.423849, -0.743843, -0.428446],
         [-0.636885, -0.292737, -0.685652, -0.288181]],
        [[0.060343, -0.184918], [0.247158, 0.137543]],
    ),
    "ft_l2": (
        [[-0.600295, -0.353397, -0.688560, -0.337987],
         [-0.600295, -0.353397, -0.688560, -0.337987]],
        [[0.060344, -0.184915], [0.247151, 0.137524]],
    ),
    "ewc": (
        [[-0.635063, -0.317677, -0.684737, -0.316643],
         [-0.635063, -0.317677, -0.684737, -0.316643]],
        [[0.060343, -0.184916], [0.247149, 0.137521]],
    ),
    "pnn": (
        [[-0.183135, -0.154637, -0.217522, -0.157705],
         [-0.630978, -0.306208, -0.604009, -0.245291]],
        [[0.059222, -0.184512], [0.320173, 0.190855]],
    ),
    "packnet": (
        [[0.001565, -0.232104, -0.009737, -0.181410],
         [0.075354, -0.233252, 0.058766, -0.191900]],
        [[0.320017, 0.144174], [0.518414, 0.549277]],
    ),
    "csp": (
        [[-0.648266, -0.429385, -0.744053, -0.428988],
         [-0.638077, -0.334626, -0.698608, -0.311346]],
        [[0.687845, 0.728808], [0.895357, 0.926538]],
    ),
    "rewire": (
        [[-0.580835, -0.517496, -0.728328, -0.619494],
         [-0.609545, -0.549872, -0.737826, -0.632502]],
        [[0.059663, -0.184292], [0.277889, 0.156447]],
    ),
}


def wave(*shape, phase=0.0, scale=0.5):
    """Numbers in no order that matters, the same everywhere."""
    n = int(np.prod(shape))
    return torch.tensor(scale * np.sin(np.arange(n) * 1.7 + phase), dtype=torch.float32).reshape(shape)


def simplex(n, k, phase):
    weights = wave(n, k, phase=phase).exp()
    return weights / weights.sum(1, keepdim=True)


def fill(weights, biases, phase):
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        weight.data.copy_(wave(*weight.shape, phase=phase + 3 * i + 1))
        bias.data.copy_(wave(*bias.shape, phase=phase + 3 * i + 2))


def fill_column(column, phase):
    fill(column[:4], column[4:8], phase)
    for i in (1, 2, 3) if len(column) > 8 else ():
        v, a, u, bias = column[8 + 4 * (i - 1) : 12 + 4 * (i - 1)]
        u.data.copy_(wave(*u.shape, phase=phase + 20 + i))
        bias.data.copy_(wave(*bias.shape, phase=phase + 30 + i))
        v.data.copy_(wave(*v.shape, phase=phase + 40 + i))
        a.data.fill_(0.1 * i + 0.2)


def critics(width, phase):
    made = TwinCritics(N_IN + N_ACTIONS + width, HIDDEN, torch.Generator().manual_seed(0))
    for j in (0, 1):
        for i, (weight, bias) in enumerate(zip(made.weights, made.biases, strict=True)):
            n_in, n_out = weight[j].shape
            weight[j].copy_(wave(n_out, n_in, phase=phase + 100 * j + 3 * i + 1).T)
            bias[j].copy_(wave(*bias[j].shape, phase=phase + 100 * j + 3 * i + 2))
    return made


def batch(step, width):
    obs, next_obs = (wave(ROWS, N_IN, phase=50 * step + i, scale=1.0) for i in (1, 2))
    action = wave(ROWS, N_ACTIONS, phase=50 * step + 3, scale=0.9)
    context = simplex(ROWS, width, 50 * step + 5) if width else None
    pair = torch.cat([obs, action, *([context] if width else [])], dim=1)
    reward, ended = wave(ROWS, phase=50 * step + 4, scale=1.0), torch.tensor([0.0, 0.0, 1.0, 0.0])
    return Batch(obs, next_obs, action, reward, ended, context, pair)


class Script:
    """The draws of one update: noise, modes, Gumbel numbers and combinations, in the order of their use."""

    def __init__(self, width):
        self.width, self.device, self.step = width, torch.device("cpu"), 0

    def begin(self, step):
        self.step, self.noises, self.gumbels, self.alphas = step, 0, 0, 0
        of_target, of_policy = MODES[step % 3]
        self.modes = [of_target, of_policy, step % 3 % 2]

    def normal(self, stream, *shape):
        self.noises += 1
        return wave(*shape, phase=50 * self.step + 5 + self.noises, scale=1.0)

    def numpy(self, stream):
        assert stream == "modes"
        return SimpleNamespace(integers=lambda k: self.modes.pop(0))

    def generator(self, name):
        return None

    def gumbel(self, n, rng):
        self.gumbels += 1
        return wave(n, phase=50 * self.step + 9 + self.gumbels, scale=2.0)

    def sample(self, n, which):
        assert which == "new"
        self.alphas += 1
        return simplex(n, self.width, 50 * self.step + 7 + self.alphas)


def update(sac, script, steps):
    for step in steps:
        script.begin(step)
        sac.update(batch(step, script.width))
    sac.release()


def start(method, policy, task):
    """Weights of a task that the original draws; those that it copies stay."""
    if method == "pnn":
        fill_column(policy.columns[task], 7 * task)
    elif method == "rewire":
        if task == 0:
            fill(*zip(*policy.layers, policy.heads[0], strict=True), 0)
    elif method == "csp":
        if task == 0:
            fill(policy.anchors[0].weights, policy.anchors[0].biases, 0)
    elif task == 0 or method == "sac_n":
        net = policy.nets[task] if method in ("sac_n", "ft_n") else policy.net
        fill(net.weights, net.biases, 7 * task)


def finish(method, policy, task, tune):
    if method == "ewc":
        policy.add_fisher(wave(6, N_IN, phase=999, scale=1.0))
    if method == "packnet":
        policy.prune()
        tune((6 + 2 * task, 7 + 2 * task))
    if method == "rewire":
        policy.consolidate()
    if method == "csp":
        policy.choose([1.0] if task == 0 else [0.3, 0.7], keep=True)
    policy.set_task(-1)


@pytest.mark.parametrize("method", KINDS)
def test_two_tasks_of_every_method_give_the_originals_numbers(method, agent, composed, monkeypatch):
    kind, extra = KINDS[method]
    policy = agent(kind, n_in=N_IN, n_actions=N_ACTIONS, n_tasks=2, faithful=True, **extra)
    values = dataclasses.replace(
        composed("ft_1", "scenario=toy/forgetting", "profile=quick").sac,
        lr_policy=1e-2, lr_q=1e-2, lr_entropy=1e-2, init_temperature=0.3, target_multiplier=1.0,
        clip_grad=1.0,
        policy_update_delay=1, target_update_delay=1, discount=0.9, update_target_tau=0.1, reward_scaling=1.0,
    )  # fmt: skip
    critic, width = critics(int(method == "csp"), 200), int(method == "csp")
    for task in (0, 1):
        policy.set_task(None)
        start(method, policy, task)
        if method == "csp" and task:
            critic, width = critics(2, 500), 2
        script = Script(width)
        monkeypatch.setattr("rewire_repro.agents.rewire.gumbel", script.gumbel)
        if method == "csp":
            monkeypatch.setattr(policy, "sample", script.sample)
        with monkeypatch.context() as during:
            during.setattr(policy, "rngs", script)

            def learner(script=script, critic=critic):
                return Sac(policy, critic, values, script, True, "update", targets_with_policy=True)

            update(learner(), script, range(3 * task, 3 * task + 3))
            finish(method, policy, task, lambda steps: update(learner(), script, steps))  # noqa: B023
    obs = wave(2, N_IN, phase=77, scale=1.0)
    actions = [torch.tanh(policy.actor(task)(obs)).reshape(-1) for task in (0, 1)]
    rows = [obs, wave(2, N_ACTIONS, phase=78, scale=0.9), *([simplex(2, width, 79)] if width else [])]
    golden_actions, golden_values = GOLDEN[method]
    assert torch.allclose(torch.stack(actions), torch.tensor(golden_actions), atol=2e-5)
    assert torch.allclose(critic(torch.cat(rows, dim=1)), torch.tensor(golden_values), atol=2e-5)

"""CSP's choice after a task: the best combination of the subspace with the new anchor, or of that without."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rewire_repro.agents.subspace import SubspaceActionAgent
from rewire_repro.evaluation import rollout
from rewire_repro.networks import TwinCritics
from rewire_repro.replay import Replay
from rewire_repro.rng import Rngs
from rewire_repro.sac import side_by_side
from rewire_repro.scenarios import VectorEnv
from rewire_repro.settings import SearchSettings


@dataclass(frozen=True)
class Found:
    """The combination, whether the new anchor stays, and what finding it cost in environment steps."""

    alpha: list[float]
    keep: bool
    steps: int


def improves(new: float, old: float, threshold: float, faithful: bool = False) -> bool:
    """Returns whether `new` is better than `old` by the threshold, a fraction of |old|.

    Differs from the original: new > (1 + threshold) · old asks for less than nothing where returns are
    negative.
    """
    margin = threshold * (old if faithful else abs(old))
    return new > old + margin


@torch.no_grad()
def best_by_critic(
    critic: TwinCritics, replay: Replay, alphas: Tensor, n_states: int, n_best: int, rng: np.random.Generator
) -> Tensor:
    """Returns the n_best of `alphas` (n, k) by mean Q1 over replayed states and actions, best first."""
    batch = replay.sample(n_states, rng)
    scores = []
    for alpha in alphas:
        rows = alpha.expand(n_states, -1)
        scores.append(critic(side_by_side(batch.obs, batch.action, rows))[0].mean())
    return alphas[torch.stack(scores).argsort(descending=True)[:n_best]]


def search(
    agent: SubspaceActionAgent,
    critic: TwinCritics,
    replay: Replay,
    env: VectorEnv,
    values: SearchSettings,
    rngs: Rngs,
    seed: int,
    faithful: bool = False,
) -> Found:
    """Returns the choice: n_rollouts/2 candidates of either subspace by critic, then one rollout each.

    Differs from the original: a candidate's return is that of its first episode, not the running sum at the
    last step, which after an early end holds a part of a later episode alone.
    """
    k = len(agent.anchors)
    if k == 1:
        return Found([1.0], True, 0)
    half = max(1, values.n_rollouts // 2)
    rng = rngs.numpy("search")
    best = [
        best_by_critic(critic, replay, agent.sample(values.n_samples, which), values.n_estimations, half, rng)
        for which in ("new", "old")
    ]
    returns, steps = _validate(agent, torch.cat(best), env, values.n_validation_steps, seed)
    new, old = returns[: len(best[0])], returns[len(best[0]) :]
    keep = improves(float(new.max()), float(old.max()), values.improvement_threshold, faithful)
    chosen = best[0][int(new.argmax())] if keep else best[1][int(old.argmax())]
    return Found([float(one) for one in chosen], keep, steps)


def _validate(
    agent: SubspaceActionAgent, alphas: Tensor, env: VectorEnv, n_steps: int, seed: int
) -> tuple[np.ndarray, int]:
    """The return of one episode per combination, and the steps that took; rows beyond are padding."""
    returns, steps = [], 0
    for chunk in torch.split(alphas, env.n_envs):
        rows = chunk[torch.arange(env.n_envs, device=chunk.device) % len(chunk)]

        def actor(obs: Tensor, rows: Tensor = rows) -> Tensor:
            return agent.forward(obs, rows)[:, : agent.shape.n_actions]

        done = rollout(env, actor, seed, len(chunk), n_steps)
        returns.append(done.returns)
        steps += done.steps
    return np.concatenate(returns), steps

"""Rollouts of a frozen policy: the first episode of every row, from start to end."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rewire_repro.networks import Actor
from rewire_repro.scenarios import VectorEnv


@dataclass(frozen=True)
class Rollout:
    """Per episode, float64 (n,): its return, and whether (1.0, 0.0) a goal was reached at any step, at the
    last;
    `steps`: environment steps that the rows counted took; `distance`: to the goal at the end, nan if none.
    """

    returns: NDArray[np.float64]
    success_any: NDArray[np.float64]
    success_final: NDArray[np.float64]
    steps: int
    distance: NDArray[np.float64]


def rollout(
    env: VectorEnv, actor: Actor, seed: int, n_rows: int | None = None, max_steps: int | None = None
) -> Rollout:
    """Returns the first episode of the first `n_rows` rows, acting with tanh of the actor's mean.

    Args: max_steps — cut episodes after so many steps.
    """
    n = env.n_envs if n_rows is None else n_rows
    obs = env.reset(seed)
    alive = torch.ones(env.n_envs, dtype=torch.bool, device=obs.device)
    total = torch.zeros(env.n_envs, dtype=torch.float64, device=obs.device)
    reached, final = torch.zeros_like(alive), torch.zeros_like(alive)
    gap = torch.full_like(total, float("nan"))
    steps = torch.zeros_like(total)
    for _ in range(min(env.horizon, max_steps or env.horizon)):
        with torch.no_grad():
            step = env.step(torch.tanh(actor(obs)))
        total += torch.where(alive, step.reward, 0.0)
        steps += alive
        reached |= alive & step.success
        final = torch.where(alive, step.success, final)
        if step.distance is not None:
            gap = torch.where(alive, step.distance.double(), gap)
        alive &= ~step.ended
        if not bool(alive[:n].any()):
            break
        obs = step.obs
    rows = [one[:n].cpu().numpy().astype(np.float64) for one in (total, reached, final, gap)]
    return Rollout(rows[0], rows[1], rows[2], int(steps[:n].sum()), rows[3])


def rollouts(
    env: VectorEnv, actor: Actor, seeds: list[int], n_episodes: int, max_steps: int | None = None
) -> Rollout:
    """Returns `n_episodes` first episodes, as many at a time as there are environments, a seed per batch.

    Args: max_steps — cut episodes after so many steps.
    """
    parts = []
    for at, seed in enumerate(seeds):
        left = n_episodes - at * env.n_envs
        if left <= 0:
            break
        parts.append(rollout(env, actor, seed, min(left, env.n_envs), max_steps))
    joined = [
        np.concatenate([getattr(p, name) for p in parts])
        for name in ("returns", "success_any", "success_final")
    ]
    return Rollout(
        joined[0],
        joined[1],
        joined[2],
        sum(p.steps for p in parts),
        np.concatenate([p.distance for p in parts]),
    )


def batches(n_episodes: int, n_envs: int) -> int:
    """Returns how many batches of n_envs hold n_episodes."""
    return -(-n_episodes // n_envs)

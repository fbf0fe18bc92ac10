"""csp: a subspace of policies, spanned by anchors; a task either needs a new anchor or it does not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from clrepro.errors import UsageError
from rewire_repro.agents.agent import Agent, PolicyValues, sizes_of, without_gradient
from rewire_repro.dense import dense
from rewire_repro.networks import SLOPE, Actor, Net, normalised, to_arrays, to_tensors


@dataclass(frozen=True)
class SubspaceValues(PolicyValues):
    """Configuration keys; dist_type: flat | peaked, repeat_alpha: steps between draws of a combination."""

    dist_type: str = "flat"
    repeat_alpha: int = 100
    n_initial_anchors: int = 1
    refresh_rate: float = 1.0
    resampling_q: bool = True
    resampling_policy: bool = True
    lr_scaling: float = 0.0
    oracle_rollouts: int = 0


class SubspaceActionAgent(Agent):
    """Every layer is sum_i alpha_i (W_i x + b_i), alpha on the simplex; the last anchor alone is trained.

    Differs from the original: with a single environment the halves of the population take turns, episode by
    episode (half of one row is none).
    """

    Values = SubspaceValues

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        v, where = self.values, "framework.params.policy_agent"
        if v.dist_type not in ("flat", "peaked"):
            raise UsageError(f"{where}.dist_type={v.dist_type}: flat or peaked")
        fixed = {"refresh_rate": 1.0, "lr_scaling": 0.0}
        for name, value in fixed.items():
            if getattr(v, name) != value:
                raise UsageError(f"{where}.{name}={getattr(v, name)}: csp is offered with {value} only")
        self.anchors = [self.fresh_net() for _ in range(v.n_initial_anchors)]
        self.alphas: list[list[float]] = []  # per task seen
        self.begun = self.since_draw = self.draws = 0
        self.acting: Tensor | None = None

    @property
    def context_width(self) -> int:  # type: ignore[override]
        """One column per anchor."""
        return len(self.anchors)

    def set_task(self, task_id: int | None) -> None:
        """A new task adds an anchor at the mean of those there; the first one trains the initial ones."""
        if task_id is None:
            if self.begun:
                means = [
                    torch.stack(ts).mean(0) for ts in zip(*(a.tensors() for a in self.anchors), strict=True)
                ]
                self.anchors.append(self.anchors[0].rebuilt(means))
            self.begun += 1
            self.acting, self.since_draw, self.draws = None, 0, 0

    def choose(self, alpha: Sequence[float], keep: bool) -> None:
        """Store the current task's combination; without `keep` the new anchor (and alpha's last entry)
        goes.
        """
        if not keep:
            self.anchors.pop()
            alpha = alpha[: len(self.anchors)]
        self.alphas.append([float(one) for one in alpha])
        self.acting = None

    def sample(self, n: int, which: str) -> Tensor:
        """Returns combinations float32 (n, n_anchors).

        Args: which — "new": over all anchors, by dist_type; "old": uniform over all but the newest, 0 for it.
        """
        k, rng = len(self.anchors), self.rngs.numpy("alpha")
        if k == 1:
            return torch.ones(n, 1, device=self.rngs.device)
        if which == "old":
            rows = np.pad(rng.dirichlet(np.ones(k - 1), n), ((0, 0), (0, 1)))
        else:
            weights = np.ones(k)
            weights[-1] = k**2 if self.values.dist_type == "peaked" else 1
            rows = rng.dirichlet(weights, n)
        return torch.tensor(rows, dtype=torch.float32, device=self.rngs.device)

    def acting_context(self, ended: Tensor) -> Tensor:
        """Returns the combinations (n_envs, n_anchors) to act with: half from the new subspace, half from
        the old;
        drawn anew where an episode begins and for all every repeat_alpha steps.
        """
        n = len(ended)
        anew = self.acting is None or self.since_draw >= self.values.repeat_alpha
        if anew or bool(ended.any()):
            mixed = self.sample(n, "new")
            old = (
                torch.arange(n, device=ended.device) >= n // 2
                if n > 1
                else torch.tensor([self.draws % 2 == 1])
            )
            mixed = torch.where(old[:, None], self.sample(n, "old"), mixed) if self.begun > 1 else mixed
            self.acting = (
                mixed if self.acting is None or anew else torch.where(ended[:, None], mixed, self.acting)
            )
            self.since_draw, self.draws = 0 if anew else self.since_draw, self.draws + 1
        self.since_draw += 1
        assert self.acting is not None
        return self.acting

    def draw_context(self, stored: Tensor | None, n: int, purpose: str) -> Tensor | None:
        """Returns fresh combinations from the new distribution, or the stored ones if resampling is off."""
        fresh = self.values.resampling_q if purpose == "target" else self.values.resampling_policy
        return self.sample(n, "new") if fresh else stored

    def trainable(self) -> list[Tensor]:
        """Returns the newest anchor; before there is one, all initial ones."""
        trained = self.anchors if self.begun <= 1 else self.anchors[-1:]
        return [one for anchor in trained for one in anchor.tensors()]

    def forward(self, obs: Tensor, context: Tensor | None) -> Tensor:
        """Returns the outputs of each row's own combination."""
        if len(self.anchors) == 1:
            return self.anchors[0](obs)
        assert context is not None
        x, last = obs, len(self.widths) - 2
        for i in range(last + 1):
            parts = [
                dense(x, a.weights[i], a.biases[i]) * context[:, j : j + 1]
                for j, a in enumerate(self.anchors)
            ]
            x = torch.stack(parts).sum(0)
            if i == 0 and self.values.layer_norm:
                norms = zip(*(a.norm for a in self.anchors), strict=True)  # (scales, shifts) of all anchors
                x = normalised(x, [context @ torch.stack(one) for one in norms])
            elif i < last:
                x = leaky_relu(x, SLOPE)
        return x

    def folded(self, alpha: Sequence[float]) -> Net:
        """Returns the plain network of one combination."""
        stacks = zip(*(anchor.tensors() for anchor in self.anchors), strict=True)
        padded = [*alpha, *[0.0] * (len(self.anchors) - len(alpha))]
        tensors = [sum(a * one.detach() for a, one in zip(padded, stack, strict=True)) for stack in stacks]
        return self.anchors[0].rebuilt(tensors)

    def mixed_actor(self, alpha: Sequence[float]) -> Actor:
        """Returns the policy of one combination."""
        return without_gradient(self.folded(alpha), self.shape.n_actions)

    def actor(self, task_id: int | None = None) -> Actor:
        """Returns the policy of the task's stored combination; unseen or in training: all anchors alike."""
        k = len(self.anchors)
        known = task_id is not None and task_id < len(self.alphas)
        return self.mixed_actor(self.alphas[task_id] if known and task_id is not None else [1 / k] * k)

    def numel(self) -> dict[str, int]:
        """Returns the size of all anchors."""
        return sizes_of(sum(anchor.numel() for anchor in self.anchors))

    def facts(self) -> dict[str, float]:
        """Returns how many anchors there are."""
        return {"n_anchors": len(self.anchors)}

    def state(self) -> dict[str, Any]:
        """Returns anchors, combinations and where the drawing is."""
        return {
            "anchors": [to_arrays(anchor.tensors()) for anchor in self.anchors],
            "alphas": self.alphas,
            "acting": [] if self.acting is None else to_arrays([self.acting]),
            "counts": [self.begun, self.since_draw, self.draws],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        like, device = self.anchors[0], self.rngs.device
        self.anchors = [like.rebuilt(to_tensors(arrays, device)) for arrays in state["anchors"]]
        self.alphas = [[float(one) for one in alpha] for alpha in state["alphas"]]
        self.acting = to_tensors(state["acting"], device)[0] if state["acting"] else None
        self.begun, self.since_draw, self.draws = (int(one) for one in state["counts"])

"""The replay buffer: the core's ring says where, one table of rows on the device holds what."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clrepro.buffers import Ring


@dataclass(frozen=True)
class Batch:
    """Transitions: obs and next_obs (B, n_in), action (B, A), reward and terminated (B,), context (B, w)
    or None;
    `pair` is (obs, action, context) side by side, the critics' input.
    """

    obs: Tensor
    next_obs: Tensor
    action: Tensor
    reward: Tensor
    terminated: Tensor
    context: Tensor | None
    pair: Tensor


class Replay:
    """The last `capacity` transitions, drawn uniformly with replacement.

    A transition holds the observation that the step itself led to, also where the environment was then reset,
    so none crosses an episode.
    """

    def __init__(self, capacity: int, n_in: int, n_actions: int, width: int, device: torch.device) -> None:
        self.ring = Ring(capacity)
        self.widths = (n_in, n_actions, width, n_in, 1, 1)
        self.rows = torch.zeros(capacity, sum(self.widths), device=device)

    @property
    def size(self) -> int:
        """Transitions held."""
        return self.ring.size

    def push(
        self,
        obs: Tensor,
        action: Tensor,
        context: Tensor | None,
        next_obs: Tensor,
        reward: Tensor,
        terminated: Tensor,
    ) -> None:
        """Store n transitions in place of the oldest; shapes as in Batch."""
        parts = [obs, action, next_obs, reward[:, None], terminated[:, None].to(obs.dtype)]
        if context is not None:
            parts.insert(2, context)
        rows = torch.cat(parts, dim=-1)[-self.ring.capacity :]  # first: it refuses parts of unequal lengths
        slots = self.ring.add(len(obs))[-self.ring.capacity :]
        self.rows[torch.from_numpy(slots).to(rows.device)] = rows

    def sample(self, n: int, rng: np.random.Generator) -> Batch:
        """Returns n transitions."""
        drawn = torch.from_numpy(self.ring.sample(n, rng)).to(self.rows.device)
        rows = self.rows.index_select(0, drawn)
        obs, action, context, next_obs, reward, terminated = torch.split(rows, list(self.widths), dim=-1)
        pair = rows[:, : sum(self.widths[:3])]
        held = context if self.widths[2] else None
        return Batch(obs, next_obs, action, reward[:, 0], terminated[:, 0], held, pair)

    def state(self) -> dict[str, Any]:
        """Returns the rows written so far and where the ring is."""
        return {"ring": self.ring.state(), "rows": self.rows[: self.size].cpu().numpy().copy()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.

        Raises: ValueError for the state of a buffer of another capacity or width (nothing is loaded then).
        """
        ring, rows = Ring(self.ring.capacity), torch.as_tensor(state["rows"], device=self.rows.device)
        ring.load(state["ring"])
        if rows.shape != (ring.size, self.rows.shape[1]):
            raise ValueError(f"state with rows {tuple(rows.shape)}: {(ring.size, self.rows.shape[1])}")
        self.ring = ring
        self.rows[: self.size] = rows

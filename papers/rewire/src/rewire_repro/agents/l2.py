"""ft_l2: one network, held to the weights that it had after the last task."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from rewire_repro.agents.agent import Agent, PolicyValues, sizes_of, squared_distance, without_gradient
from rewire_repro.networks import Actor, load_arrays, to_arrays, to_tensors


@dataclass(frozen=True)
class L2Values(PolicyValues):
    """Configuration keys; l2_coeff is lambda."""

    l2_coeff: float = 1.0


class L2ActionAgent(Agent):
    """The loss adds lambda · sum_j (theta_j - theta*_j)² from the second task on."""

    Values = L2Values

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.net = self.fresh_net()
        self.anchor: list[Tensor] = []

    def set_task(self, task_id: int | None) -> None:
        """After a task: theta* <- theta."""
        if task_id == -1:
            self.anchor = [one.detach().clone() for one in self.net.tensors()]

    def trainable(self) -> list[Tensor]:
        """Returns all parameters."""
        return self.net.tensors()

    def forward(self, obs: Tensor, context: Tensor | None) -> Tensor:
        """Returns the network's outputs."""
        return self.net(obs)

    def regularizer(self, obs: Tensor, outputs: Tensor) -> Tensor | None:
        """Returns lambda times the squared distance to theta*."""
        if not self.anchor:
            return None
        return float(self.values.l2_coeff) * squared_distance(self.net.tensors(), self.anchor, None)

    def actor(self, task_id: int | None = None) -> Actor:
        """Returns the one policy."""
        return without_gradient(self.net, self.shape.n_actions)

    def numel(self) -> dict[str, int]:
        """Returns one network to act; a copy of its weights besides to learn."""
        n = self.net.numel()
        return sizes_of(n, 2 * n)

    def state(self) -> dict[str, Any]:
        """Returns the parameters and theta*."""
        return {"net": to_arrays(self.net.tensors()), "anchor": to_arrays(self.anchor)}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        load_arrays(self.net.tensors(), state["net"])
        self.anchor = to_tensors(state["anchor"], self.chance.device)

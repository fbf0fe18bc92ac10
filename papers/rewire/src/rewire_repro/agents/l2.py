"""ft_l2: one network, held to the weights that it had after the last task."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from rewire_repro.agents.agent import PolicyValues, sizes_of, squared_distance
from rewire_repro.agents.single import ActionAgent
from rewire_repro.networks import to_arrays, to_tensors


@dataclass(frozen=True)
class L2Values(PolicyValues):
    """Configuration keys; l2_coeff is lambda."""

    l2_coeff: float = 1.0


class HeldActionAgent(ActionAgent):
    """One network whose loss adds lambda · sum_j F_j (theta_j - theta*_j)² from the second task on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.anchor: list[Tensor] = []  # theta*

    def strength(self) -> float:
        """Returns lambda."""
        raise NotImplementedError

    def importance(self) -> list[Tensor] | None:
        """Returns F, a tensor per parameter; None: 1 everywhere."""
        return None

    def set_task(self, task_id: int | None) -> None:
        """After a task: theta* <- theta."""
        if task_id == -1:
            self.anchor = [one.detach().clone() for one in self.net.tensors()]

    def regularizer(self, obs: Tensor, outputs: Tensor) -> Tensor | None:
        """Returns lambda times the weighted squared distance to theta*."""
        if not self.anchor:
            return None
        return self.strength() * squared_distance(self.net.tensors(), self.anchor, self.importance())

    def state(self) -> dict[str, Any]:
        """Returns the parameters and theta*."""
        return {**super().state(), "anchor": to_arrays(self.anchor)}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        super().load(state)
        self.anchor = to_tensors(state["anchor"], self.rngs.device)


class L2ActionAgent(HeldActionAgent):
    """All weights are held alike."""

    Values = L2Values

    def strength(self) -> float:
        """Returns lambda."""
        return float(self.values.l2_coeff)

    def numel(self) -> dict[str, int]:
        """Returns one network to act; a copy of its weights besides to learn."""
        n = self.net.numel()
        return sizes_of(n, 2 * n)

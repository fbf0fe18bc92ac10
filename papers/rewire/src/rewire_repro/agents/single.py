"""ft_1: one network, trained on and on."""

from typing import Any

from torch import Tensor

from rewire_repro.agents.agent import Agent, sizes_of, without_gradient
from rewire_repro.networks import Actor, load_arrays, to_arrays


class ActionAgent(Agent):
    """One policy, never cloned or reset; every task is acted on with it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.net = self.fresh_net()

    def trainable(self) -> list[Tensor]:
        """Returns all parameters."""
        return self.net.tensors()

    def forward(self, obs: Tensor, context: Tensor | None) -> Tensor:
        """Returns the network's outputs."""
        return self.net(obs)

    def actor(self, task_id: int | None = None) -> Actor:
        """Returns the one policy."""
        return without_gradient(self.net, self.shape.n_actions)

    def numel(self) -> dict[str, int]:
        """Returns the size of the one network."""
        return sizes_of(self.net.numel())

    def state(self) -> dict[str, Any]:
        """Returns the parameters."""
        return {"net": to_arrays(self.net.tensors())}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        load_arrays(self.net.tensors(), state["net"])

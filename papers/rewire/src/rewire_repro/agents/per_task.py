"""sac_n and ft_n: a network for every task, fresh or begun as a copy of the last."""

from typing import Any

from torch import Tensor

from rewire_repro.agents.agent import Agent, sizes_of, without_gradient
from rewire_repro.networks import Actor, Net, to_arrays, to_tensors


class FromScratchActionAgent(Agent):
    """A fresh network for every task; what transfer is measured against."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.nets = [self.fresh_net()]
        self.begun = 0

    def next_net(self) -> Net:
        """Returns the network that the next task starts with."""
        return self.fresh_net()

    def set_task(self, task_id: int | None) -> None:
        """A new task appends a network; the first one uses what is there."""
        if task_id is None:
            if self.begun:
                self.nets.append(self.next_net())
            self.begun += 1

    def trainable(self) -> list[Tensor]:
        """Returns the last network's parameters; the others stay as they are."""
        return self.nets[-1].tensors()

    def forward(self, obs: Tensor, context: Tensor | None) -> Tensor:
        """Returns the last network's outputs."""
        return self.nets[-1](obs)

    def actor(self, task_id: int | None = None) -> Actor:
        """Returns the task's network; a task not seen yet is acted on with the last one."""
        last = len(self.nets) - 1
        net = self.nets[last if task_id is None else min(task_id, last)]
        return without_gradient(net, self.shape.n_actions)

    def numel(self) -> dict[str, int]:
        """Returns the size of all networks."""
        return sizes_of(sum(net.numel() for net in self.nets))

    def state(self) -> dict[str, Any]:
        """Returns every network."""
        return {"nets": [to_arrays(net.tensors()) for net in self.nets], "begun": self.begun}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        like, device = self.nets[0], self.rngs.device
        self.nets = [like.rebuilt(to_tensors(arrays, device)) for arrays in state["nets"]]
        self.begun = int(state["begun"])


class MultiActionAgent(FromScratchActionAgent):
    """Each network begins as a copy of the last."""

    def next_net(self) -> Net:
        """Returns a copy of the last network."""
        return self.nets[-1].copy()

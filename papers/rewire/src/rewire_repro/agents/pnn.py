"""pnn: progressive networks, a new column for every task that sees the hidden layers of the older ones."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from rewire_repro.agents.agent import Agent, sizes_of
from rewire_repro.dense import dense
from rewire_repro.networks import SLOPE, Actor, Net, count, linear_init, normalised, to_arrays, to_tensors

LAYERS = (1, 2, 3)  # those with lateral connections


class PNNActionAgent(Agent):
    """x_0 = phi(W_0 o); x_i = W_i x_{i-1} + U_i phi(V_i (a_i · H_{i-1})), phi after i = 1, 2 only.

    H_{i-1}: the layer's activations in all earlier columns, side by side; V_i has no bias.
    Differs from the original: the first column's outputs do not pass through phi (`paper_faithful` does so).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.columns: list[list[Tensor]] = [self._column(0)]
        self.begun = 0

    def _column(self, c: int) -> list[Tensor]:
        """Fresh tensors of column c: four weights, four biases, (V, a, U, bias of U) per lateral layer, then
        (scale, shift) of a layer norm.
        """
        rng, h = self.rngs.generator("init"), self.values.hidden_size
        net = Net.make(self.widths, rng, self.values.layer_norm)
        tensors = [*net.weights, *net.biases]
        for i in LAYERS if c else ():
            v, _ = linear_init(h, h * c, rng)
            a = torch.rand(1, generator=rng, device=rng.device) / c
            tensors += [v, a, *linear_init(self.widths[i + 1], h, rng)]
        return [*tensors, *net.norm]

    def set_task(self, task_id: int | None) -> None:
        """A new task appends a column; the first one uses what is there."""
        if task_id is None:
            if self.begun:
                self.columns.append(self._column(len(self.columns)))
            self.begun += 1

    def trainable(self) -> list[Tensor]:
        """Returns the last column; the others stay as they are."""
        return self.columns[-1]

    def outputs(self, obs: Tensor, last: int) -> Tensor:
        """Returns the outputs (B, 2A) of column `last`."""
        hidden: list[list[Tensor]] = []  # per column, the activations of its three hidden layers
        x = obs
        for c, column in enumerate(self.columns[: last + 1]):
            if self.values.layer_norm:
                x = normalised(dense(obs, column[0], column[4]), column[-2:])
            else:
                x = dense(obs, column[0], column[4], SLOPE)
            layers: list[Tensor] = []
            for i in LAYERS:
                layers.append(x)
                y = dense(x, column[i], column[4 + i])
                if c:
                    v, a, u, bias = column[8 + 4 * (i - 1) : 12 + 4 * (i - 1)]
                    earlier = torch.cat([one[i - 1] for one in hidden], dim=-1)
                    y = y + dense(dense(a * earlier, v, None, SLOPE), u, bias)
                last_layer = i == LAYERS[-1]
                x = y if last_layer and not (self.faithful and c == 0) else leaky_relu(y, SLOPE)
            hidden.append(layers)
        return x

    def forward(self, obs: Tensor, context: Tensor | None) -> Tensor:
        """Returns the last column's outputs."""
        return self.outputs(obs, len(self.columns) - 1)

    def actor(self, task_id: int | None = None) -> Actor:
        """Returns the task's column; a task not seen yet is acted on with the last one."""
        last = len(self.columns) - 1
        column = last if task_id is None else min(task_id, last)

        @torch.no_grad()
        def act(obs: Tensor) -> Tensor:
            return self.outputs(obs, column)[:, : self.shape.n_actions]

        return act

    def numel(self) -> dict[str, int]:
        """Returns the size of all columns."""
        return sizes_of(sum(count(column) for column in self.columns))

    def state(self) -> dict[str, Any]:
        """Returns every column."""
        return {"columns": [to_arrays(column) for column in self.columns], "begun": self.begun}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.columns = [to_tensors(arrays, self.rngs.device) for arrays in state["columns"]]
        self.begun = int(state["begun"])

"""Many ReLU MLPs of one shape, trained side by side by batched matrix products, on any torch device.

A step of one small network leaves an accelerator idle; a step of fifty costs it hardly more.  On a processor
the compiled engine (`clrepro.kernels.batch`) is faster for each network alone: there a step is bound by
reading and writing the weights, which no two networks share.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clrepro.kernels.mlp import Layout

if TYPE_CHECKING:
    import torch


class ManyMLP:
    """S networks of one layout with momentum SGD.

    Args: thetas — float32 (S, n_params), copied; device — where they live.
    """

    def __init__(self, layout: Layout, thetas: NDArray[np.float32], device: str = "cpu") -> None:
        import torch

        self.layout, self.device = layout, torch.device(device)
        self._weights, self._biases = [], []
        for number in range(len(layout.sizes) - 1):
            parts = [layout.views(theta)[number] for theta in thetas]
            self._weights.append(torch.from_numpy(np.stack([w for w, _ in parts])).to(self.device))
            self._biases.append(torch.from_numpy(np.stack([b for _, b in parts]))[:, None].to(self.device))
        self.reset_momentum()

    def reset_momentum(self) -> None:
        """Forget all velocities."""
        import torch

        self._velocities = [torch.zeros_like(part) for part in (*self._weights, *self._biases)]

    def theta(self, number: int) -> NDArray[np.float32]:
        """Returns float32 (n_params,), the parameters of network `number`."""
        parts = [
            part
            for weight, bias in zip(self._weights, self._biases, strict=True)
            for part in (weight[number].reshape(-1), bias[number].reshape(-1))
        ]
        return np.concatenate([part.cpu().numpy() for part in parts])

    def load(self, number: int, theta: NDArray[np.float32]) -> None:
        """Set the parameters of network `number`."""
        import torch

        for layer, (weight, bias) in enumerate(self.layout.views(theta)):
            self._weights[layer][number] = torch.from_numpy(weight.copy())
            self._biases[layer][number, 0] = torch.from_numpy(bias.copy())

    def step(
        self,
        x: "torch.Tensor",
        y: "torch.Tensor",
        rates: "torch.Tensor",
        momentum: float,
        keep: "Sequence[torch.Tensor] | None" = None,
        classes: tuple[int, int] | None = None,
    ) -> "torch.Tensor":
        """One step of every network on the mean cross-entropy of its batch: v <- momentum v + g,
        theta <- theta - rate v.

        Args: x — float32 (S, n, inputs); y — int64 (S, n), counted from classes[0]; rates — float32 (S,), 0
            leaves a network (not its velocity) as it is; keep — for each hidden layer float32 (S, n, width),
            what multiplies its outputs; classes — (low, high), the outputs that take part.
        Returns: float32 (S,), the losses before the step.
        """
        import torch

        outputs = self._forward(x, keep)
        low, high = classes or (0, self.layout.sizes[-1])
        log_p = torch.log_softmax(outputs[-1][:, :, low:high], 2)
        loss = -log_p.gather(2, y[:, :, None]).mean((1, 2))
        error = torch.zeros_like(outputs[-1])
        error[:, :, low:high] = log_p.exp()
        error[:, :, low:high].scatter_add_(2, y[:, :, None], torch.full_like(log_p[:, :, :1], -1.0))
        error /= y.shape[1]
        self._backward([x, *outputs[:-1]], error, rates[:, None, None], momentum, keep)
        return loss

    def _forward(self, x: "torch.Tensor", keep: "Sequence[torch.Tensor] | None") -> "list[torch.Tensor]":
        """The outputs of every layer, those of the last without ReLU."""
        import torch

        outputs = []
        for layer, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if layer + 1 < len(self._weights):
                x = x.relu_()
                x = x if keep is None else x.mul_(keep[layer])
            outputs.append(x)
        return outputs

    def _backward(
        self,
        inputs: "list[torch.Tensor]",
        error: "torch.Tensor",
        rates: "torch.Tensor",
        momentum: float,
        keep: "Sequence[torch.Tensor] | None",
    ) -> None:
        """Take the step, from the last layer to the first; `inputs` are those of the layers."""
        n_layers = len(self._weights)
        for layer in reversed(range(n_layers)):
            weight, bias = self._weights[layer], self._biases[layer]
            below: Any = None
            if layer:  # with the weights before their step
                below = error.bmm(weight.transpose(1, 2)).mul_(inputs[layer] > 0)
                below = below if keep is None else below.mul_(keep[layer - 1])
            v_weight, v_bias = self._velocities[layer], self._velocities[n_layers + layer]
            v_weight.baddbmm_(inputs[layer].transpose(1, 2), error, beta=momentum)
            v_bias.mul_(momentum).add_(error.sum(1, keepdim=True))
            weight.sub_(rates * v_weight)
            bias.sub_(rates * v_bias)
            error = below

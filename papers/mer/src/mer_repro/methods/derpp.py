"""Dark Experience Replay ++ (Buzzega et al., NeurIPS 2020) in plain torch: replay of answers and labels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clrepro.adapters.torch import pick_device, use_one_thread
from clrepro.buffers import ReservoirBuffer
from clrepro.settings import check, option
from mer_repro.init import glorot_mlp
from mer_repro.networks import Problem, named_linears

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Options:
    """The flags of this method alone."""

    der_alpha: float = option(0.1, "derpp: weight of the distance to remembered answers", within="[0, inf)")
    der_beta: float = option(0.5, "derpp: weight of the loss on remembered labels", within="[0, inf)")

    def __post_init__(self) -> None:
        check(self)


class DERPlusPlus:
    """theta <- theta - lr * grad [CE(f(x), y) + der_alpha * MSE(f(x'), z') + der_beta * CE(f(x''), y'')].

    x' with the logits z' that the network gave when it met them, and x'' with their labels y'', are two draws
    from a reservoir of all examples met.  With both weights 0 it is online SGD.

    Args: memories — slots of the reservoir; replay_batch_size — examples in a draw, each chosen by itself.
    Source: equation 6 of the paper; MSE is the mean over examples and classes, as in its code.
    """

    Options = Options

    def __init__(
        self,
        problem: Problem,
        *,
        lr: float,
        memories: int,
        replay_batch_size: float,
        der_alpha: float = Options.der_alpha,
        der_beta: float = Options.der_beta,
    ) -> None:
        use_one_thread()
        self.device = pick_device("cuda" if problem.cuda else "cpu", "--cuda yes")
        layers = glorot_mlp(problem.sizes, problem.rngs.torch)
        self.layers = [tuple(p.to(self.device).requires_grad_() for p in pair) for pair in layers]
        self.lr, self.alpha, self.beta = lr, der_alpha, der_beta
        self.n_replay = int(replay_batch_size)
        self.buffer = ReservoirBuffer(memories, problem.rngs.fast.generator("memory"))

    def observe(self, x: NDArray[np.float32], y: NDArray[np.int64], task: int) -> None:
        """Learn a batch x (b, inputs), y (b,) of a task."""
        import torch
        from torch.nn import functional

        logits = self.forward(self._tensor(x))
        loss = functional.cross_entropy(logits, self._tensor(y))
        if len(self.buffer) and self.n_replay:
            first, second = (self.buffer.sample(self.n_replay) for _ in range(2))
            answers = self.forward(self._tensor(first["x"]))
            loss = loss + self.alpha * functional.mse_loss(answers, self._tensor(first["z"]))
            answers = self.forward(self._tensor(second["x"]))
            loss = loss + self.beta * functional.cross_entropy(answers, self._tensor(second["y"]))
        parameters = [p for pair in self.layers for p in pair]
        for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            p.data.sub_(g, alpha=self.lr)
        self.buffer.add(x=x, y=y, z=logits.detach().cpu().numpy())

    def _tensor(self, array: NDArray[Any]) -> "torch.Tensor":
        import torch

        return torch.from_numpy(array).to(self.device)

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        """Returns logits (n, classes) of rows x (n, inputs)."""
        from torch.nn import functional

        for weight, bias in self.layers[:-1]:
            x = functional.linear(x, weight, bias).relu()
        return functional.linear(x, *self.layers[-1])

    def predict(self, x: NDArray[np.float32], task: int) -> NDArray[np.float32]:
        """Returns logits (n, classes) of rows x (n, inputs)."""
        import torch

        with torch.no_grad():
            return np.asarray(self.forward(self._tensor(x)).cpu().numpy())

    def state_dict(self) -> "dict[str, torch.Tensor]":
        """Returns the parameters under the names of the original's network."""
        return named_linears("net.net", [[p.detach().cpu().clone() for p in pair] for pair in self.layers])

    def load_state_dict(self, weights: "dict[str, torch.Tensor]") -> None:
        """Take the parameters of a saved model; the memory stays as it is."""
        own = [p for pair in self.layers for p in pair]
        for p, saved in zip(own, (weights[name] for name in self.state_dict()), strict=True):
            p.data.copy_(saved)

    def state(self) -> dict[str, Any]:
        """Returns everything an exact continuation needs."""
        weights = {name: value.numpy() for name, value in self.state_dict().items()}
        return {"weights": weights, "buffer": self.buffer.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state.  Raises: ValueError for that of a memory of another size."""
        self.buffer.load(state["buffer"])
        self.load_state_dict({name: self._tensor(np.array(v)) for name, v in state["weights"].items()})

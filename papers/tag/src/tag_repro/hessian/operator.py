"""Linear operators on parameter vectors; the Hessian of a mean loss is one of them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]


class Operator:
    """A linear map on vectors of length `size`, given by `apply`."""

    def __init__(self, size: int) -> None:
        self.size = size

    def apply(self, vec: Tensor) -> Tensor:
        """Returns the image (size,) of vec (size,)."""
        raise NotImplementedError("a subclass says what the map is")


class LambdaOperator(Operator):
    """A linear map given as a function."""

    def __init__(self, apply_fn: Callable[[Tensor], Tensor], size: int) -> None:
        super().__init__(size)
        self._apply = apply_fn

    def apply(self, vec: Tensor) -> Tensor:
        """Returns the image (size,) of vec (size,)."""
        return self._apply(vec)


class HVPOperator(Operator):
    """v -> H v, H the Hessian of the mean loss over a loader's samples at the model's present parameters.

    Args: model — put into evaluation mode during a product and back after it, so that batch normalisation
        keeps its statistics; dataloader — any iterable of (inputs, targets), read once, so that a shuffling
        one gives the same operator at every product; criterion — mean loss of (outputs, targets); use_gpu —
        if there is one; full_dataset — False: the first batch alone; max_samples — a batch is worked on in
        parts of at most so many; forward_fn — (model, inputs) -> outputs, for models that want more than
        inputs, e.g. a task; compat — True: batches weigh the same whatever their size, as in the original.
    Raises: ValueError for an empty loader or a model without trainable parameters.
    Source: Pearlmutter 1994: H v is the gradient of <grad L, v>.
    Differs from the original: batches and parts weigh by their samples; parameters the loss does not depend
        on count as zeros.
    """

    def __init__(
        self,
        model: nn.Module,
        dataloader: Iterable[Any],
        criterion: Callable[[Tensor, Tensor], Tensor],
        use_gpu: bool = True,
        full_dataset: bool = True,
        max_samples: int = 256,
        *,
        forward_fn: Callable[[nn.Module, Tensor], Tensor] | None = None,
        compat: bool = False,
    ) -> None:
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        super().__init__(sum(p.numel() for p in self.parameters))
        if not self.size or max_samples < 1:
            raise ValueError(
                f"{self.size} trainable parameters, max_samples {max_samples}: 1 or more of both"
            )
        self.model, self.criterion, self.max_samples, self.compat = model, criterion, max_samples, compat
        self._forward = forward_fn or (lambda network, inputs: network(inputs))
        self.device = torch.device("cuda" if use_gpu and torch.cuda.is_available() else "cpu")
        self.batches: list[Batch] = []
        for inputs, targets in dataloader:
            self.batches.append((inputs, targets))
            if not full_dataset:
                break
        self.samples = sum(len(targets) for _, targets in self.batches)
        if not self.samples:
            raise ValueError("the data loader yields no samples")

    def apply(self, vec: Tensor) -> Tensor:
        """Returns H vec, (size,), of vec's dtype and device."""
        if vec.shape != (self.size,):
            raise ValueError(f"vector of shape {tuple(vec.shape)}; this operator takes ({self.size},)")
        training, total = self.model.training, torch.zeros(self.size, dtype=vec.dtype, device=self.device)
        direction = vec.to(self.device)
        self.model.eval()
        try:
            for inputs, targets, weight in self._parts():
                total += weight * self._product(inputs, targets, direction)
        finally:
            self.model.train(training)
        return total.to(vec.device)

    def prepare_grad(self) -> Tensor:
        """Returns the gradient of the mean loss, (size,)."""
        total = torch.zeros(self.size, device=self.device)
        for inputs, targets, weight in self._parts():
            loss = self.criterion(self._forward(self.model, inputs), targets)
            total += weight * _flat(_gradients(loss, self.parameters, create_graph=False), self.parameters)
        return total

    def zero_grad(self) -> None:
        """Forget the gradients that the parameters hold; a product leaves none there itself."""
        for p in self.parameters:
            p.grad = None

    def _parts(self) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Yields (inputs, targets, weight) of at most max_samples each; the weights add up to 1."""
        for inputs, targets in self.batches:
            n = len(targets)
            share = 1 / len(self.batches) if self.compat else n / self.samples
            for start in range(0, n, self.max_samples):
                part = slice(start, start + self.max_samples)
                weight = share * len(targets[part]) / n
                yield inputs[part].to(self.device), targets[part].to(self.device), weight

    def _product(self, inputs: Tensor, targets: Tensor, direction: Tensor) -> Tensor:
        loss = self.criterion(self._forward(self.model, inputs), targets)
        gradients = _gradients(loss, self.parameters, create_graph=True)
        flat = _flat(gradients, self.parameters)
        if not flat.requires_grad:  # a loss linear in all parameters
            return torch.zeros_like(direction)
        inner = flat @ direction.to(flat.dtype)
        return _flat(_gradients(inner, self.parameters, create_graph=False), self.parameters).to(
            direction.dtype
        )


def _gradients(value: Tensor, parameters: list[nn.Parameter], *, create_graph: bool) -> list[Tensor | None]:
    found = torch.autograd.grad(value, parameters, create_graph=create_graph, allow_unused=True)
    return list(found)


def _flat(gradients: list[Tensor | None], parameters: list[nn.Parameter]) -> Tensor:
    """One vector of all gradients, zeros for a parameter the value does not depend on."""
    parts = (
        torch.zeros_like(p).reshape(-1) if g is None else g.reshape(-1)
        for g, p in zip(gradients, parameters, strict=True)
    )  # fmt: skip
    return torch.cat(list(parts))

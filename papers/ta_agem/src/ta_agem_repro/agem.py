"""A-GEM on any torch model and optimizer: the step of Chaudhry et al. (ICLR 2019), written out."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from clrepro.adapters.agem import flat_gradient, project, set_gradient
from ta_agem_repro.learning_rate import TALearningRateScheduler


class AGEMHandler:
    """Takes optimizer steps on the gradient of a batch, projected so that it does not raise the loss on
    memory.

    Args: model, criterion (mean over the rows), optimizer — as usual in torch; batch_size — most memory
    samples used in a step; lr_scheduler — asked with the batch's loss before each step.
    Source: spec 3.1; Chaudhry et al. 2019, eq. 11.
    """

    def __init__(
        self,
        model: nn.Module,
        criterion: Any,
        optimizer: torch.optim.Optimizer,
        device: Any,
        batch_size: int = 256,
        lr_scheduler: TALearningRateScheduler | None = None,
    ) -> None:
        self.model, self.criterion, self.optimizer = model, criterion, optimizer
        self.device, self.batch_size, self.lr_scheduler = device, batch_size, lr_scheduler
        self._params = [p for p in model.parameters() if p.requires_grad]
        self.last_products = (0.0, 0.0, 0.0)

    def compute_gradient(self, data: Tensor, labels: Tensor) -> Tensor:
        """Returns the flat gradient (n_params,) of the mean loss; parameters and their .grad stay as they
        are.
        """
        return self._loss_and_gradient(data, labels)[1]

    def project_gradient(self, g: Tensor, g_ref: Tensor) -> Tensor:
        """Returns the vector nearest to g whose product with g_ref is not negative; g itself where that
        holds.
        """
        return project(g, g_ref)

    def set_gradient(self, vec: Tensor) -> None:
        """Write the flat vector (n_params,) into the parameters' .grad.

        Raises: ValueError for another length.
        """
        set_gradient(self._params, vec)

    def optimize(
        self, data: Tensor, labels: Tensor, memory_samples: Sequence[tuple[Tensor, Any]] | None = None
    ) -> float:
        """One step on data (n, ...) and labels (n,); memory_samples — [(sample, label)], the first batch_size
        of which count.  Returns the batch's mean loss before the step.
        """
        loss, g = self._loss_and_gradient(data.to(self.device), labels.to(self.device))
        if memory_samples:
            held = memory_samples[: self.batch_size]
            x = torch.stack([torch.as_tensor(sample) for sample, _ in held]).to(self.device)
            y = torch.as_tensor([int(label) for _, label in held], device=self.device)
            g = self._projected(g, self.compute_gradient(x, y))
        self.apply(g, loss)
        return loss

    def step(self, data: Tensor, labels: Tensor, x: Tensor | None, y: Tensor | None) -> float:
        """As `optimize`, the memory batch as tensors x (m, ...), y (m,), None for none."""
        loss, g = self._loss_and_gradient(data, labels)
        if x is not None and y is not None:
            g = self._projected(g, self.compute_gradient(x, y))
        self.apply(g, loss)
        return loss

    def apply(self, g: Tensor, loss: float) -> None:
        """Step along the flat gradient g, at the rate the scheduler gives for this loss."""
        if self.lr_scheduler is not None:
            rate = self.lr_scheduler.step(loss)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
        self.set_gradient(g)
        self.optimizer.step()

    def _projected(self, g: Tensor, r: Tensor) -> Tensor:
        products = torch.stack([torch.dot(g, r), torch.dot(r, r), torch.dot(g, g)]).tolist()
        self.last_products = (products[0], products[1], products[2])
        return self.project_gradient(g, r)

    def _loss_and_gradient(self, data: Tensor, labels: Tensor) -> tuple[float, Tensor]:
        self.last_products = (0.0, 0.0, 0.0)
        loss = self.criterion(self.model(data), labels)
        return float(loss.detach()), flat_gradient(loss, self._params)

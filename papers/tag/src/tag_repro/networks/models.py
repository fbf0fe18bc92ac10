"""The networks of both papers, in torch: MLP, reduced ResNet-18, AlexNet.  Spec section 7.

Every network takes (n, ...) floats and returns the logits of all tasks' outputs, (n, outputs); which of them
take part is the loop's business.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from tag_repro.networks import resnet_fused

STAGES = (20, 40, 80, 160)


class Dropout(nn.Module):
    """Dropout with a generator of its own, so that a run's other draws do not depend on it.

    Args: p — share of units dropped; generator — on the network's device.
    """

    def __init__(self, p: float, generator: torch.Generator) -> None:
        super().__init__()
        self.p, self.generator = p, generator

    def forward(self, x: Tensor) -> Tensor:
        """Returns x in evaluation, else x with dropped entries 0 and the others divided by 1 - p."""
        factors = self.factors(x.shape, x.device)
        return x if factors is None else x * factors

    def factors(self, shape: Sequence[int], device: torch.device) -> Tensor | None:
        """Returns what entries are multiplied with, 0 or 1 / (1 - p); None in evaluation or if p is 0."""
        if not self.training or not self.p:
            return None
        kept = torch.rand(shape, generator=self.generator, device=device) >= self.p
        return kept / (1 - self.p)


class MLP(nn.Module):
    """inputs-H-H-outputs with ReLU; what leaves the hidden layers may be multiplied from outside.

    P = 89,610 for 784-100-100-10, 269,322 for 784-256-256-10.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, dropout: Dropout | None = None) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
        self.head = nn.Linear(hidden, outputs)
        self.dropout = dropout or nn.Identity()

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Returns logits (n, outputs) of x (n, inputs); keep (2, n, hidden) — factors in place of dropout."""
        h = functional.relu(self.first(x))
        h = self.dropout(h) if keep is None else h * keep[0]
        h = functional.relu(self.second(h))
        h = self.dropout(h) if keep is None else h * keep[1]
        return torch.as_tensor(self.head(h))


class Block(nn.Module):
    """conv3x3 - ReLU - BN - dropout, the shortcut added, ReLU - BN - dropout: one 3×3 convolution per block.

    Differs from the original: its second convolution, declared and never used, is not declared.
    """

    def __init__(self, n_in: int, n_out: int, stride: int, dropout: Dropout) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(n_out), nn.BatchNorm2d(n_out)
        same = stride == 1 and n_in == n_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(n_in, n_out, 1, stride, bias=False)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Returns (n, n_out, h, w)."""
        h = self.dropout(self.norm1(functional.relu(self.conv(x))))
        h = functional.relu(h + self.shortcut(x))
        return torch.as_tensor(self.dropout(self.norm2(h)))


class ResNetS(nn.Module):
    """The reduced ResNet-18 of both papers: widths 20, 40, 80, 160, two blocks each, one linear head.

    P = 496,680 for 32×32 images and 100 outputs, 544,680 for 84×84.  `fused` — on a CPU, compute all but
    the head by `networks.resnet_fused`: the same to rounding, in half the time; gradients of gradients
    and torch.func need the plain layers (`plain_layers`).
    """

    def __init__(self, outputs: int, dropout: Dropout | None = None, side: int = 32) -> None:
        super().__init__()
        drop = dropout or Dropout(0.0, torch.Generator())
        self.stem, self.norm = nn.Conv2d(3, STAGES[0], 3, 1, 1, bias=False), nn.BatchNorm2d(STAGES[0])
        blocks, n_in = [], STAGES[0]
        for number, width in enumerate(STAGES):
            for place in range(2):
                blocks.append(Block(n_in, width, 2 if number and not place else 1, drop))
                n_in = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(STAGES[-1] * (side // 32) ** 2, outputs)
        self.fused = False

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits (n, outputs) of x (n, 3, side, side)."""
        if self.fused and resnet_fused.fits(x):
            h = resnet_fused.trunk(self, x)
        else:
            h = self.blocks(functional.relu(self.norm(self.stem(x))))
        return torch.as_tensor(self.head(functional.avg_pool2d(h, 4).flatten(1)))


@contextmanager
def plain_layers(network: nn.Module) -> Iterator[None]:
    """Inside a `with` block a network computes by torch's layers, which torch can differentiate in every
    way.
    """
    fused = getattr(network, "fused", False)
    if fused:
        network.fused = False  # type: ignore[assignment]
    try:
        yield
    finally:
        if fused:
            network.fused = True  # type: ignore[assignment]


class AlexNet(nn.Module):
    """Three convolutions and two wide layers, for CIFAR-100 in ten tasks; 32×32 images.

    Its dropout is its own, whatever the regimen's; generator — on the network's device.
    """

    def __init__(self, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for n_in, n_out, side, p in ((3, 64, 4, 0.2), (64, 128, 3, 0.2), (128, 256, 2, 0.5)):
            parts += [nn.Conv2d(n_in, n_out, side), nn.ReLU(), Dropout(p, generator), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*parts)
        wide = [nn.Linear(1024, 2048), nn.ReLU(), Dropout(0.5, generator)]
        wide += [nn.Linear(2048, 2048), nn.ReLU(), Dropout(0.5, generator)]
        self.head = nn.Sequential(*wide, nn.Linear(2048, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits (n, outputs) of x (n, 3, 32, 32)."""
        return torch.as_tensor(self.head(self.features(x).flatten(1)))


class LeNet(nn.Module):
    """conv5x5 ×2 with batch normalisation and pools, one wide layer; 28×28 images."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 20, 5), nn.BatchNorm2d(20), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(20, 50, 5), nn.BatchNorm2d(50), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.wide, self.head = nn.Linear(800, 500), nn.Linear(500, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits (n, outputs) of x (n, 784) or (n, 1, 28, 28)."""
        h = self.features(x.reshape(-1, 1, 28, 28)).flatten(1)
        return torch.as_tensor(self.head(functional.relu(self.wide(h))))

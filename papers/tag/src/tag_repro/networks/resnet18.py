"""ResNet-18 for the birds, with the names of its parameters as published weights have them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from clrepro.errors import DataError
from clrepro.io.regular_files import open_regular_file

MAX_BYTES = 1 << 30  # of a file of weights; the published one has 45 MB
STAGES = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """conv3x3 - BN - ReLU - conv3x3 - BN, the shortcut added, ReLU.  Source: He et al. 2016."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out)
        self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Returns (n, n_out, h, w)."""
        h = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(h)) + self.downsample(x))


class ResNet18(nn.Module):
    """Images (n, 3, side, side), side at least 32, to logits (n, outputs); P = 11,279,112 for 200 outputs."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, STAGES[0], 7, 2, 3, bias=False), nn.BatchNorm2d(STAGES[0])
        n_in = STAGES[0]
        for number, width in enumerate(STAGES):
            first = BasicBlock(n_in, width, 2 if number else 1)
            setattr(self, f"layer{number + 1}", nn.Sequential(first, BasicBlock(width, width, 1)))
            n_in = width
        self.fc = nn.Linear(n_in, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits (n, outputs)."""
        h = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for number in range(len(STAGES)):
            h = getattr(self, f"layer{number + 1}")(h)
        return torch.as_tensor(self.fc(h.mean((2, 3))))


def load_pretrained(network: ResNet18, path: Path) -> None:
    """Fill all but the last layer from a file of published weights (a state dict; nothing in it is run).

    Raises: DataError if the file is missing or damaged, or does not have these tensors.
    """
    try:
        with open_regular_file(path, MAX_BYTES) as file:
            state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except DataError:
        raise
    except Exception as problem:  # damage shows as almost any kind of error
        reason = " ".join(str(problem).split())[:120]
        raise DataError(f"{path}: not readable as a state dict of tensors ({reason})") from None
    wanted = {name: value for name, value in network.state_dict().items() if not name.startswith("fc.")}
    if not isinstance(state, dict):
        raise DataError(f"{path}: holds no state dict")
    for name, value in wanted.items():
        given = state.get(name)
        if name.endswith("num_batches_tracked"):
            continue
        if not isinstance(given, Tensor) or given.shape != value.shape:
            raise DataError(f"{path}: {name} is not there with shape {tuple(value.shape)}")
        value.copy_(given)

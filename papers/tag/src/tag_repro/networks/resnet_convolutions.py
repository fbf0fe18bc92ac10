"""The convolutions of the fused ResNet-S behind one function: tiles where the processor has wide vectors,
else oneDNN's.  Images are flat float32 arrays of shape (n, height, width, channels).
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tag_repro.networks import tile_convolutions as tiles
from tag_repro.networks.tiles import wide

Flat = NDArray[np.float32]
Shape = tuple[int, int, int, int]


class TileConvolution:
    """A convolution made of tiles."""

    def __init__(self, layer: nn.Conv2d) -> None:
        self.weight, self.step = layer.weight.detach().numpy(), layer.stride[0]
        self.outputs, self.inputs, self.k = layer.out_channels, layer.in_channels, layer.kernel_size[0]

    def prepared(self, x: Flat, shape: Shape) -> Flat:
        """Returns images as `forward` and `backward` want them."""
        return np.asarray(tiles.bordered(x, *shape, self.k // 2))

    def forward(self, x: Flat, shape: Shape) -> Flat:
        """Returns the outputs, flat; x — prepared images of the given shape."""
        return np.asarray(tiles.forward(x, *shape[:3], self.weight, self.step))

    def backward(self, x: Flat, shape: Shape, g: Flat, *, inwards: bool = True) -> tuple[Flat | None, Tensor]:
        """Returns the gradients of the input, flat, and of the weight, of the output's gradient g; inwards —
        the former is wanted.
        """
        below = tiles.input_gradient(g, *shape[:3], self.weight, self.step) if inwards else None
        own = tiles.weight_gradient(x, *shape, g, self.outputs, self.k, self.step)
        return below, torch.from_numpy(own)


class TorchConvolution:
    """The same by torch, which calls oneDNN."""

    def __init__(self, layer: nn.Conv2d) -> None:
        self.layer = layer

    def prepared(self, x: Flat, shape: Shape) -> Flat:
        """Returns images as `forward` and `backward` want them."""
        return x

    def forward(self, x: Flat, shape: Shape) -> Flat:
        """Returns the outputs, flat."""
        layer = self.layer
        out = torch.conv2d(_tensor(x, shape), self._weight(), None, layer.stride, layer.padding)
        return _flat(out)

    def backward(self, x: Flat, shape: Shape, g: Flat, *, inwards: bool = True) -> tuple[Flat | None, Tensor]:
        """Returns the gradients of the input, flat, and of the weight."""
        layer, (n, height, width, _) = self.layer, shape
        step: Any = layer.stride
        down, across = (height + step[0] - 1) // step[0], (width + step[1] - 1) // step[1]
        below, own, _ = torch.ops.aten.convolution_backward(
            _tensor(g, (n, down, across, layer.out_channels)), _tensor(x, shape), self._weight(), None,
            step, layer.padding, (1, 1), False, (0, 0), 1, (inwards, True, False),
        )  # fmt: skip
        return (_flat(below) if inwards else None), own.contiguous()

    def _weight(self) -> Tensor:
        return self.layer.weight.detach().contiguous(memory_format=torch.channels_last)


def convolution(layer: nn.Conv2d) -> TileConvolution | TorchConvolution:
    """Returns the faster of the two on this processor."""
    return TileConvolution(layer) if wide() else TorchConvolution(layer)


def _tensor(x: Flat, shape: Shape) -> Tensor:
    return torch.from_numpy(x).view(shape).permute(0, 3, 1, 2)


def _flat(x: Tensor) -> Flat:
    return x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).numpy().reshape(-1)

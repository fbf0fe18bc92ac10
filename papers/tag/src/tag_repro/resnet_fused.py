"""The reduced ResNet-18 without torch's small operations: oneDNN's convolutions on images with their channels
last, and one compiled pass wherever eager torch takes several.

`trunk` is what `ResNetS.forward` calls on a CPU; gradients, running statistics, dropout and evaluation are those
of the plain layers, to rounding.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from tag_repro import resnet_kernels as kernels
from tag_repro.resnet_kernels import LANES

if TYPE_CHECKING:
    from tag_repro.models import ResNetS

Rows = NDArray[np.float32]
Sums = NDArray[np.float64]
Factor = tuple[Rows, int]  # rows, and the step from one to the next: 0 if one stands for all
NO_FLOOR, FLOOR = np.float32(-np.inf), np.float32(0)


def fits(x: Tensor) -> bool:
    """Whether `trunk` can take these images: float32 (n, 3, side, side) on the CPU of which no gradient is
    wanted, and of a side whose pixels fill whole rows of LANES numbers at every width.
    """
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and not x.requires_grad
    return plain and x.dim() == 4 and len(x) > 0 and x.shape[2] % 4 == 0 and x.shape[3] % 4 == 0


def trunk(network: "ResNetS", x: Tensor) -> Tensor:
    """Returns the last block's output (n, 160, side / 8, side / 8) for images x (n, 3, side, side)."""
    params = _parameters(network)
    return torch.as_tensor(_Trunk.apply(_layers(network, params), x, *params))  # type: ignore[no-untyped-call]


def _parameters(network: "ResNetS") -> list[Tensor]:
    """Those of all layers but the head."""
    head = set(network.head.parameters())
    return [p for p in network.parameters() if p not in head]


class _Norm:
    """A batch normalisation: its layer, and its parameters and running statistics seen as arrays."""

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        self.layer = layer
        tensors: list[Any] = [layer.weight, layer.bias, layer.running_mean, layer.running_var]
        self.arrays = [tensor.detach().numpy() for tensor in tensors]
        self.count = np.asarray(layer.num_batches_tracked)
        self.channels = layer.num_features


@dataclass
class _Unit:
    """The layers of a block, or of the stem, which has neither shortcut nor second normalisation."""

    conv: nn.Conv2d
    norm: _Norm
    dropout: nn.Module | None = None
    shortcut: nn.Conv2d | None = None
    last: _Norm | None = None


@dataclass
class _Used:
    """A normalisation as a pass used it."""

    norm: _Norm
    values: Rows  # (3, parts, LANES): mean, scale, shift
    inverse: Sums  # 1 / deviation, (channels,)
    frozen: bool  # the running statistics were used, which do not depend on the input


@dataclass
class _Passed:
    """What a unit's gradient needs of a pass through it."""

    unit: _Unit
    x: Tensor  # the unit's input
    weight: Tensor  # of the convolution, channels last
    weight_shortcut: Tensor | None
    r: Rows  # behind the convolution and its floor
    used: _Used
    keep: Factor
    z: Rows  # behind the ReLU
    used_last: _Used | None = None
    keep_last: Factor | None = None


_known: "WeakKeyDictionary[nn.Module, tuple[list[int], list[_Unit]]]" = WeakKeyDictionary()


def _layers(network: "ResNetS", params: list[Tensor]) -> list[_Unit]:
    """Returns the stem and the blocks; made again only if a tensor was put in another place."""
    places = [tensor.data_ptr() for tensor in (*params, *network.buffers())]
    if network not in _known or _known[network][0] != places:
        units = [_Unit(network.stem, _Norm(network.norm))]
        for block in network.blocks:
            shortcut: Any = None if isinstance(block.shortcut, nn.Identity) else block.shortcut
            first, last = _Norm(block.norm1), _Norm(block.norm2)  # type: ignore[arg-type]
            units.append(_Unit(block.conv, first, block.dropout, shortcut, last))  # type: ignore[arg-type]
        _known[network] = places, units
    return _known[network][1]


class _Trunk(torch.autograd.Function):
    """All layers but the head as one operation."""

    @staticmethod
    def forward(ctx: Any, units: list[_Unit], x: Tensor, *params: Tensor) -> Tensor:
        ctx.params, ctx.tape = params, []
        h = x.contiguous(memory_format=torch.channels_last)
        for unit in units:
            passed, h = _forward(unit, h)
            if any(ctx.needs_input_grad):
                ctx.tape.append(passed)
        return h

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        found: dict[Tensor, Tensor] = {}
        # A copy, since the passes write to it and autograd's own must stay.
        g, more = gradients[0].clone(memory_format=torch.channels_last), None
        for passed in reversed(ctx.tape[1:]):
            g, more = _backward(passed, g, more, found)
        _stem_backward(ctx.tape[0], g, more, found)
        return None, None, *(found.get(p) for p in ctx.params)


def _forward(unit: _Unit, x: Tensor) -> tuple[_Passed, Tensor]:
    """Returns what the gradient needs, and the unit's output:
    z = max(0, dropout(norm(max(conv(x), floor))) + shortcut), then dropout(norm(z)) of a block.
    """
    weight, shortcut = _last(unit.conv.weight.detach()), None
    made, more = torch.conv2d(x, weight, None, unit.conv.stride, unit.conv.padding), None
    if unit.last is not None:
        more = x
    if unit.shortcut is not None:
        shortcut = _last(unit.shortcut.weight.detach())
        more = torch.conv2d(x, shortcut, None, unit.shortcut.stride)
    r = _rows(made)
    used = _normalisation(unit.norm, r, kernels.cut(r, NO_FLOOR if unit.last is None else FLOOR))
    keep, z = _factors(unit.dropout, made), np.empty_like(r)
    total = kernels.scale_add_cut(r, used.values, *keep, *_rows_or(0.0, more, r), z)
    passed = _Passed(unit, x, weight, shortcut, r, used, keep, z)
    if unit.last is None:
        return passed, _tensor(z, made)
    passed.used_last, passed.keep_last = _normalisation(unit.last, z, total), _factors(unit.dropout, made)
    out = np.empty_like(z)
    kernels.scale(z, passed.used_last.values, *passed.keep_last, out)
    return passed, _tensor(out, made)


def _backward(
    passed: _Passed, g: Tensor, more: Tensor | None, found: dict[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Returns two tensors whose sum is the gradient of a block's input, g + more being that of its output;
    g is written to, `found` gets the parameters' gradients.
    """
    unit, rows, used = passed.unit, _rows(g), passed.used_last
    assert used is not None
    assert passed.keep_last is not None
    added = _rows_or(0.0, more, rows)
    total = kernels.gradient_sums(rows, *added, *passed.keep_last, passed.z, used.values)
    inner = _inner_gradient(passed, g, used.values, _norm_gradient(used, total, passed.z, found), found)
    below, found[unit.conv.weight] = _convolution_back(unit.conv, inner, passed.x, passed.weight)
    if unit.shortcut is not None:
        assert passed.weight_shortcut is not None
        g, found[unit.shortcut.weight] = _convolution_back(unit.shortcut, g, passed.x, passed.weight_shortcut)
    return below, g


def _stem_backward(passed: _Passed, g: Tensor, more: Tensor | None, found: dict[Tensor, Tensor]) -> None:
    """The gradients of the stem's parameters, which stands before everything: no input's gradient is wanted."""
    if more is not None:
        g.add_(more)
    same = np.zeros_like(passed.used.values)  # no normalisation stands behind the stem's ReLU
    same[kernels.SCALE] = 1
    inner, conv = _inner_gradient(passed, g, same, np.zeros_like(same[:2]), found), passed.unit.conv
    found[conv.weight] = _convolution_back(conv, inner, passed.x, passed.weight, inwards=False)[1]


def _inner_gradient(
    passed: _Passed, g: Tensor, after: Rows, less: Rows, found: dict[Tensor, Tensor]
) -> Tensor:
    """Returns the gradient of the convolution's output; g, the gradient behind the normalisation `after`,
    becomes that of its input.
    """
    rows, used, floor = _rows(g), passed.used, NO_FLOOR if passed.unit.last is None else FLOOR
    total = kernels.gradient_between(rows, passed.z, after, less, *passed.keep, passed.r, used.values)
    less, inner = _norm_gradient(used, total, passed.r, found), np.empty_like(rows)
    kernels.gradient_below(rows, *passed.keep, passed.r, used.values, less, floor, inner)
    return _tensor(inner, g)


def _normalisation(norm: _Norm, x: Rows, total: Sums) -> _Used:
    """Returns the normalisation of x, whose sums over rows are `total`; moves the running statistics on."""
    layer, frozen = norm.layer, not norm.layer.training
    used = _Used(norm, np.empty((3, *x.shape[1:]), np.float32), np.empty(norm.channels), frozen)
    kernels.normalisation(
        x, total, *norm.arrays, layer.momentum, layer.eps, frozen, used.values, used.inverse
    )
    if not frozen:
        norm.count += 1
    return used


def _norm_gradient(used: _Used, total: Sums, x: Rows, found: dict[Tensor, Tensor]) -> Rows:
    """Returns what lessens the gradient of every input; `found` gets those of weight and bias."""
    less, own = np.empty((2, *x.shape[1:]), np.float32), np.empty((2, used.norm.channels), np.float32)
    kernels.norm_gradient(total, used.inverse, x.size // used.norm.channels, used.frozen, own, less)
    found[used.norm.layer.weight], found[used.norm.layer.bias] = torch.from_numpy(own).unbind()
    return less


def _convolution_back(
    conv: nn.Conv2d, g: Tensor, x: Tensor, weight: Tensor, inwards: bool = True
) -> tuple[Tensor, Tensor]:
    """Returns the gradients of a convolution's input, channels last (else of nothing), and of its weight."""
    below, own, _ = torch.ops.aten.convolution_backward(
        g, x, weight, None, conv.stride, conv.padding, (1, 1), False, (0, 0), 1, (inwards, True, False)
    )
    return (_last(below) if inwards else g), own


def _factors(dropout: Any, x: Tensor) -> Factor:
    """Returns dropout's factors for x, drawn as the plain layer draws them."""
    return _rows_or(1.0, dropout.factors(x) if dropout is not None else None, _rows(x))


def _rows(x: Tensor) -> Rows:
    """Returns a tensor with its channels last as float32 (rows, parts, LANES), without a copy."""
    return x.permute(0, 2, 3, 1).numpy().reshape(-1, max(1, x.shape[1] // LANES), LANES)


def _tensor(rows: Rows, like: Tensor) -> Tensor:
    """Returns rows as a tensor with its channels last, without a copy."""
    n, channels, height, width = like.shape
    return torch.from_numpy(rows).view(n, height, width, channels).permute(0, 3, 1, 2)


def _rows_or(value: float, x: Tensor | None, like: Rows) -> Factor:
    """Returns x's rows, or of None one row of `value`."""
    return (np.full((1, *like.shape[1:]), value, np.float32), 0) if x is None else (_rows(_last(x)), 1)


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)

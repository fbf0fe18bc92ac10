"""The reduced ResNet-18 without torch's small operations: narrow convolutions of its own on images with their
channels last, and one compiled pass wherever eager torch takes several.

`trunk` is what `ResNetS.forward` calls on a CPU; gradients, running statistics, dropout and evaluation are
those of the plain layers, to rounding.
"""

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from tag_repro.networks import resnet_kernels as kernels
from tag_repro.networks.resnet_convolutions import (
    Flat,
    Shape,
    TileConvolution,
    TorchConvolution,
    convolution,
)
from tag_repro.networks.resnet_kernels import LANES

Rows = NDArray[np.float32]  # (rows, parts, LANES)
Sums = NDArray[np.float64]
Factor = tuple[Rows, int]  # rows, and the step from one to the next: 0 if one stands for all
Convolution = TileConvolution | TorchConvolution
NO_FLOOR, FLOOR = np.float32(-np.inf), np.float32(0)


def fits(x: Tensor) -> bool:
    """Whether `trunk` can take these images: float32 (n, 3, side, side) on the CPU of which no gradient is
    wanted, and of a side whose pixels fill whole rows of LANES numbers at every width.
    """
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and not x.requires_grad
    return plain and x.dim() == 4 and len(x) > 0 and x.shape[2] % 4 == 0 and x.shape[3] % 4 == 0


def trunk(network: Any, x: Tensor) -> Tensor:
    """Returns the last block's output (n, 160, side / 8, side / 8) for images x (n, 3, side, side).

    Args: network — a module with the layers of `networks.models.ResNetS`: stem, norm, blocks, head.
    """
    plan = _plan(network)
    return torch.as_tensor(_Trunk.apply(plan, x, *plan.params))  # type: ignore[no-untyped-call]


class _Norm:
    """A batch normalisation: its layer, and its parameters and running statistics seen as arrays."""

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        self.layer, self.channels = layer, layer.num_features
        tensors: list[Any] = [layer.weight, layer.bias, layer.running_mean, layer.running_var]
        self.arrays = [tensor.detach().numpy() for tensor in tensors]
        self.count = np.asarray(layer.num_batches_tracked)


class _Unit:
    """The layers of a block, or of the stem, which has neither shortcut nor second normalisation."""

    def __init__(self, conv: Any, norm: Any, block: Any = None) -> None:
        self.conv, self.norm = convolution(conv), _Norm(norm)
        self.weights: list[Any] = [conv.weight]
        self.dropout, self.shortcut, self.last = None, None, None
        self.floor, self.step, self.outputs = NO_FLOOR, conv.stride[0], conv.out_channels
        if block is not None:
            self.dropout, self.last, self.floor = block.dropout, _Norm(block.norm2), FLOOR
            if not isinstance(block.shortcut, nn.Identity):
                self.shortcut = convolution(block.shortcut)
                self.weights.append(block.shortcut.weight)


class _Plan:
    """A network's layers in order, as the passes want them."""

    def __init__(self, network: Any, tensors: list[Tensor]) -> None:
        head = {id(p) for p in network.head.parameters()}
        self.params = [p for p in network.parameters() if id(p) not in head]
        self.tensors, self.places = tensors, [tensor.data_ptr() for tensor in tensors]
        blocks = [_Unit(block.conv, block.norm1, block) for block in network.blocks]
        self.units = [_Unit(network.stem, network.norm), *blocks]


_plans: "WeakKeyDictionary[nn.Module, _Plan]" = WeakKeyDictionary()


def _plan(network: Any) -> _Plan:
    """Returns a network's plan; made again only if a tensor was replaced or lies in another place."""
    tensors, plan = [*network.parameters(), *network.buffers()], _plans.get(network)
    same = plan is not None and all(a is b for a, b in zip(plan.tensors, tensors, strict=True))
    if plan is None or not same or plan.places != [tensor.data_ptr() for tensor in tensors]:
        plan = _plans[network] = _Plan(network, tensors)
    return plan


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
    shape: Shape  # of the input
    x: Flat  # the input as the convolution, and as the shortcut wants it
    x_shortcut: Flat
    r: Rows  # behind the convolution and its floor
    used: _Used
    keep: Factor
    z: Rows  # behind the ReLU
    used_last: _Used | None = None
    keep_last: Factor | None = None


class _Trunk(torch.autograd.Function):
    """All layers but the head as one operation."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, x: Tensor, *params: Tensor) -> Tensor:
        ctx.plan, ctx.tape, wanted = plan, [], any(ctx.needs_input_grad)
        shape = (len(x), x.shape[2], x.shape[3], x.shape[1])
        h = np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy()).reshape(-1)
        for unit in plan.units:
            passed, h, shape = _forward(unit, h, shape)
            if wanted:
                ctx.tape.append(passed)
        return torch.from_numpy(h).view(shape).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        found: dict[int, Tensor] = {}
        # A copy, since the passes write to it and autograd's own must stay.
        g = gradients[0].permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format).numpy().reshape(-1)
        more: Flat | None = None
        for passed in reversed(ctx.tape[1:]):
            g, more = _backward(passed, g, more, found)
        _stem_backward(ctx.tape[0], g, more, found)
        # Given away, not kept: autograd copies what someone else still holds.
        return None, None, *(found.pop(id(p), None) for p in ctx.plan.params)


def _forward(unit: _Unit, h: Flat, shape: Shape) -> tuple[_Passed, Flat, Shape]:
    """Returns what the gradient needs, and the unit's output with its shape:
    z = max(0, dropout(norm(max(conv(x), floor))) + shortcut), then dropout(norm(z)) of a block.
    """
    n, height, width, _ = shape
    down, across = (height + unit.step - 1) // unit.step, (width + unit.step - 1) // unit.step
    new, x, h_shortcut = (n, down, across, unit.outputs), unit.conv.prepared(h, shape), h
    r = _rows(unit.conv.forward(x, shape), unit.outputs)
    more: Flat | None = None if unit.last is None else h
    if unit.shortcut is not None:
        h_shortcut = unit.shortcut.prepared(h, shape)
        more = unit.shortcut.forward(h_shortcut, shape)
    used = _normalisation(unit.norm, r, kernels.cut(r, unit.floor))
    keep, z = _factors(unit.dropout, new, r), np.empty_like(r)
    total = kernels.scale_add_cut(r, used.values, *keep, *_rows_or(0, more, r), z)
    passed = _Passed(unit, shape, x, h_shortcut, r, used, keep, z)
    if unit.last is None:
        return passed, z.reshape(-1), new
    passed.used_last, passed.keep_last = _normalisation(unit.last, z, total), _factors(unit.dropout, new, z)
    out = np.empty_like(z)
    kernels.scale(z, passed.used_last.values, *passed.keep_last, out)
    return passed, out.reshape(-1), new


def _backward(passed: _Passed, g: Flat, more: Flat | None, found: dict[int, Tensor]) -> tuple[Flat, Flat]:
    """Returns two arrays whose sum is the gradient of a block's input, g + more being that of its output;
    g is written to, `found` gets the parameters' gradients by their id.
    """
    unit, rows, used = passed.unit, _rows(g, passed.unit.outputs), passed.used_last
    assert used is not None
    assert passed.keep_last is not None
    added = _rows_or(0, more, rows)
    total = kernels.gradient_sums(rows, *added, *passed.keep_last, passed.z, used.values)
    inner = _inner_gradient(passed, rows, used.values, _norm_gradient(used, total, passed.z, found), found)
    below, found[id(unit.weights[0])] = unit.conv.backward(passed.x, passed.shape, inner)
    beside: Flat | None = g
    if unit.shortcut is not None:
        beside, found[id(unit.weights[1])] = unit.shortcut.backward(passed.x_shortcut, passed.shape, g)
    assert below is not None
    assert beside is not None
    return below, beside


def _stem_backward(passed: _Passed, g: Flat, more: Flat | None, found: dict[int, Tensor]) -> None:
    """The gradients of the stem's parameters, which stands before everything: no input's gradient is
    wanted.
    """
    if more is not None:
        g += more
    same = np.zeros_like(passed.used.values)  # no normalisation stands behind the stem's ReLU
    same[kernels.SCALE] = 1
    inner = _inner_gradient(passed, _rows(g, passed.unit.outputs), same, np.zeros_like(same[:2]), found)
    own = passed.unit.conv.backward(passed.x, passed.shape, inner, inwards=False)[1]
    found[id(passed.unit.weights[0])] = own


def _inner_gradient(passed: _Passed, g: Rows, after: Rows, less: Rows, found: dict[int, Tensor]) -> Flat:
    """Returns the gradient of the convolution's output; g, the gradient behind the normalisation `after`,
    becomes that of its input.
    """
    used, inner = passed.used, np.empty_like(g)
    total = kernels.gradient_between(g, passed.z, after, less, *passed.keep, passed.r, used.values)
    less = _norm_gradient(used, total, passed.r, found)
    kernels.gradient_below(g, *passed.keep, passed.r, used.values, less, passed.unit.floor, inner)
    return inner.reshape(-1)


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


def _norm_gradient(used: _Used, total: Sums, x: Rows, found: dict[int, Tensor]) -> Rows:
    """Returns what lessens the gradient of every input; `found` gets those of weight and bias."""
    less, own = np.empty((2, *x.shape[1:]), np.float32), np.empty((2, used.norm.channels), np.float32)
    kernels.norm_gradient(total, used.inverse, x.size // used.norm.channels, used.frozen, own, less)
    for parameter, gradient in ((used.norm.layer.weight, own[0]), (used.norm.layer.bias, own[1])):
        found[id(parameter)] = torch.from_numpy(gradient)
    return less


def _factors(dropout: Any, shape: Shape, like: Rows) -> Factor:
    """Returns dropout's factors for images of a shape, drawn as the plain layer draws them."""
    n, height, width, channels = shape
    found = None if dropout is None else dropout.factors((n, channels, height, width), torch.device("cpu"))
    return _rows_or(1, None if found is None else _last(found), like)


def _last(x: Tensor) -> Flat:
    return np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy()).reshape(-1)


def _rows(x: Flat, channels: int) -> Rows:
    return x.reshape(-1, max(1, channels // LANES), LANES)


_ONE_ROW = {
    (value, parts): np.full((1, parts, LANES), value, np.float32) for value in (0, 1) for parts in (1, 2)
}


def _rows_or(value: int, x: Flat | None, like: Rows) -> Factor:
    """Returns x's rows, or of None one row of `value`."""
    return (_ONE_ROW[value, like.shape[1]], 0) if x is None else (x.reshape(like.shape), 1)

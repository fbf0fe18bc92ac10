"""Dense layers through oneDNN where that pays: wide float32 layers on a CPU.

torch multiplies float32 matrices on a CPU with MKL, which keeps its AVX-512 code to Intel's processors;
oneDNN, which torch carries too, does not.  On an AMD Zen 5 core a product of 256 × 256 matrices ran at
108 Gflop/s with the one and at 227 with the other.  The values differ by rounding only.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, linear

WORTH_IT = 2**22  # multiplications of a product from which on oneDNN's dearer call is won back
_THERE = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


def worth_it(rows: int, weight: Tensor) -> bool:
    """Returns whether a product of so many rows with the weight (…, n, m) goes through oneDNN."""
    here = _THERE and weight.device.type == "cpu" and weight.dtype == torch.float32
    return here and rows * weight.shape[-1] * weight.shape[-2] >= WORTH_IT


def product(a: Tensor, b: Tensor) -> Tensor:
    """Returns a @ b, 2-D."""
    if worth_it(len(a), b):
        return _linear(a, b.t(), None, None)
    return a @ b


def dense(x: Tensor, weight: Tensor, bias: Tensor | None, slope: float | None = None) -> Tensor:
    """Returns the layer's outputs (B, n), through a leaky ReLU if `slope` is given.

    Args: x — (B, m); weight — (n, m); bias — (n,) or None.
    """
    if worth_it(len(x), weight):
        return _Dense.apply(x, weight, bias, slope)  # type: ignore[no-untyped-call, no-any-return]
    y = linear(x, weight, bias)
    return y if slope is None else leaky_relu(y, slope)


def twins(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], slope: float, inputs_only: bool = False
) -> Tensor:
    """Returns the outputs (2, B, n) of two perceptrons side by side, leaky ReLUs between their layers.

    Args: x — (B, m), the same for both; weights — per layer (2, m, n); biases — per layer (2, 1, n);
    inputs_only — gradients will be asked for towards x alone, so others need not be computed.
    """
    if any(worth_it(len(x), weight) for weight in weights):
        return _Twins.apply(x, slope, inputs_only, *weights, *biases)  # type: ignore[no-untyped-call, no-any-return]
    y, last = x.expand(2, *x.shape), len(weights) - 1
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        y = torch.baddbmm(bias, y, weight)
        y = leaky_relu(y, slope) if i < last else y
    return y


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None, slope: float | None) -> Tensor:
    """oneDNN's x weight^T + bias, then the leaky ReLU, in one call."""
    after: tuple[str, list[float]] = ("none", []) if slope is None else ("leaky_relu", [slope])
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, *after, "")
    return y


def _before(grad: Tensor, y: Tensor, slope: float | None) -> Tensor:
    """The gradient before the leaky ReLU, whose output y has its input's sign."""
    if slope is None:
        return grad
    out: Tensor = torch.ops.aten.leaky_relu_backward(grad, y, slope, True)
    return out


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, slope: float | None) -> Tensor:
        y = _linear(x, weight, bias, slope)
        ctx.save_for_backward(x, weight, y)
        ctx.slope = slope
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, y = ctx.saved_tensors
        grad = _before(grad, y, ctx.slope)
        to_x, to_weight, to_bias, _ = ctx.needs_input_grad
        return (
            product(grad, weight) if to_x else None,
            product(grad.t(), x) if to_weight else None,
            grad.sum(0) if to_bias else None,
            None,
        )


class _Twins(torch.autograd.Function):
    """Each perceptron forward and backward in turn: nothing is stacked but outputs and weights' gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float, inputs_only: bool, *tensors: Tensor) -> Tensor:
        weights, biases = tensors[: len(tensors) // 2], tensors[len(tensors) // 2 :]
        last, saved, outputs = len(weights) - 1, [], []
        for twin in range(2):
            y = x
            for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                saved.append(y)
                y = _layer(y, weight[twin], bias[twin, 0], slope if i < last else None)
            outputs.append(y)
        ctx.save_for_backward(*weights, *saved)
        ctx.slope, ctx.n, ctx.inputs_only = slope, len(weights), inputs_only
        return torch.stack(outputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        n, to_inputs, learning = (
            ctx.n,
            ctx.needs_input_grad[0],
            ctx.needs_input_grad[3] and not ctx.inputs_only,
        )
        weights, saved = ctx.saved_tensors[:n], ctx.saved_tensors[n:]
        to_x: Tensor | None = None
        to_weights = [torch.empty_like(one) for one in weights] if learning else []
        to_biases = [one.new_empty(2, 1, one.shape[-1]) for one in to_weights]
        for twin in range(2):
            inputs, own = saved[twin * n : (twin + 1) * n], grad[twin]
            for i in reversed(range(n)):
                if i < n - 1:
                    own = _before(own, inputs[i + 1], ctx.slope)
                if learning:
                    to_weights[i][twin] = product(inputs[i].t(), own)
                    torch.sum(own, 0, keepdim=True, out=to_biases[i][twin])
                if i or to_inputs:
                    own = product(own, weights[i][twin].t())
            to_x = own if to_x is None else to_x + own
        nothing = [None] * (2 * n)
        return (to_x if to_inputs else None, None, None, *(to_weights + to_biases if learning else nothing))


def _layer(x: Tensor, weight: Tensor, bias: Tensor, slope: float | None) -> Tensor:
    """leaky ReLU of x weight + bias, weight (m, n), without a graph."""
    if worth_it(len(x), weight):
        return _linear(x, weight.t(), bias, slope)
    y = torch.addmm(bias, x, weight)
    return y if slope is None else torch.nn.functional.leaky_relu_(y, slope)

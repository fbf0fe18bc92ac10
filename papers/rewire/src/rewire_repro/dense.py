"""Dense layers through oneDNN where that pays: wide float32 layers on a CPU.

torch multiplies float32 matrices on a CPU with MKL, which keeps its AVX-512 code to Intel's processors;
oneDNN, which torch carries too, does not.  On an AMD Zen 5 core a product of 256 × 256 matrices ran at
108 Gflop/s with the one and at 227 with the other.  The values differ by rounding only.
"""

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


def dense_pair(x: Tensor, weight: Tensor, bias: Tensor, slope: float | None = None) -> Tensor:
    """Returns the outputs (2, B, n) of two layers side by side.

    Args: x — (2, B, m); weight — (2, m, n); bias — (2, 1, n).
    """
    if worth_it(x.shape[1], weight):
        return _Pair.apply(x, weight, bias, slope)  # type: ignore[no-untyped-call, no-any-return]
    y = torch.baddbmm(bias, x, weight)
    return y if slope is None else leaky_relu(y, slope)


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


class _Pair(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, slope: float | None) -> Tensor:
        y = torch.stack([_linear(x[i], weight[i].t(), bias[i, 0], slope) for i in range(2)])
        ctx.save_for_backward(x, weight, y)
        ctx.slope = slope
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, y = ctx.saved_tensors
        grad = _before(grad, y, ctx.slope)
        to_x, to_weight, to_bias, _ = ctx.needs_input_grad
        return (
            torch.stack([product(grad[i], weight[i].t()) for i in range(2)]) if to_x else None,
            torch.stack([product(x[i].t(), grad[i]) for i in range(2)]) if to_weight else None,
            grad.sum(1, keepdim=True) if to_bias else None,
            None,
        )

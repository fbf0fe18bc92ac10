"""ConvMoVE: convolutions of variational experts behind a gate that looks at the whole input."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from hvcl_repro.layers import gating
from hvcl_repro.layers.move import MoVE
from hvcl_repro.layers.options import DEFAULTS

Tensor = Any
CONV_DEFAULTS = {**DEFAULTS, "gating_beta": 0.001, "expert_beta": 0.001, "rho_init": -6.0}
PADDINGS = ("valid", "same")
LAYOUT = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
FORMATS = ("channels_last", "channels_first")


@tf_keras.saving.register_keras_serializable(package="hvcl")
class ConvMoVE(MoVE):
    """Convolutional mixture of variational experts, rank 1, 2 or 3; one gate decision per example.

    The gate is a small tower: convolution like the experts', leaky ReLU, max pooling by two (global average
    pooling where an axis is too short for it), a dense layer to n logits.
    Args: rank; n_filters; n_experts; kernel_size, strides, dilation_rate — one number or one per axis;
        padding — "valid" or "same"; data_format; options as in `MoVE`.
    Weights (each as posterior and prior): mu (kernel…, c, F, n), rho (kernel[1:]…, c, F, n), bias (F, n), and
    the tower's four.
    Raises: ValueError for values out of range, or strides with dilation.
    Source: spec 3.2.
    Differs from the original: every rank, padding and shape works; the prior of the gate's dense layer starts
        at zero, so the first task is not pulled to a random gate.
    """

    mean_rows = True

    def __init__(
        self,
        rank: int,
        n_filters: int,
        n_experts: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str = "channels_last",
        dilation_rate: int | Sequence[int] = 1,
        **options: Any,
    ) -> None:
        super().__init__(n_experts, CONV_DEFAULTS, **options)
        if rank not in (1, 2, 3):
            raise ValueError(f"rank {rank!r}: 1, 2 or 3")
        if padding not in PADDINGS or data_format not in FORMATS:
            raise ValueError(
                f"padding {padding!r}, data_format {data_format!r}: {'/'.join(PADDINGS)}, {'/'.join(FORMATS)}"
            )
        self.rank, self.n_filters = rank, _sizes(n_filters, 1, "n_filters")[0]
        self.kernel_size = _sizes(kernel_size, rank, "kernel_size")
        self.strides = _sizes(strides, rank, "strides")
        self.dilation_rate = _sizes(dilation_rate, rank, "dilation_rate")
        self.padding, self.data_format = padding, data_format
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError("strides above 1 with dilation_rate above 1: only one of the two")

    def build(self, input_shape: Any) -> None:
        """Make the weights.  Raises: ValueError for another rank, or an input smaller than the kernel."""
        shape = self._channels_last(tuple(input_shape))
        if len(shape) != self.rank + 2 or shape[-1] is None:
            raise ValueError(f"input {tuple(input_shape)}: a batch, {self.rank} axes and known channels")
        channels, f, n = int(shape[-1]), self.n_filters, self.n_experts
        kernel = (*self.kernel_size, channels, f)
        # The stream of seeds is per layer; glorot is what the original's convolutions start their prior with.
        glorot = tf_keras.initializers.GlorotUniform(seed=next(self._seeds))
        self.build_experts((*kernel, n), glorot)
        if n > 1:
            spatial = self._spatial(shape[1:-1])
            self.pooled = all(size is not None and size >= 2 for size in spatial)
            features = f * math.prod((size or 0) // 2 for size in spatial) if self.pooled else f
            self._build_gate(kernel, features)
        super().build(input_shape)

    def _build_gate(self, kernel: tuple[int, ...], features: int) -> None:
        he = tf_keras.initializers.HeUniform(seed=next(self._seeds))
        out = tf_keras.initializers.HeUniform(seed=next(self._seeds))
        flat_prior = out if "initializer" in self.undone else "zeros"
        f, n = self.n_filters, self.n_experts
        self.tower = [
            self.pair("gating_conv_kernel", kernel, he, he, "gating"),
            self.pair("gating_conv_bias", (f,), "zeros", "zeros", "gating", kernel=False),
            self.pair("gating_kernel", (features, n), out, flat_prior, "gating"),
            self.pair("gating_bias", (n,), "zeros", "zeros", "gating", kernel=False),
        ]

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Returns the convolution's output; adds the losses named by `loss_names`."""
        noisy = bool(training) or self.stochastic_eval
        x = self._last(inputs)
        experts = self.experts()
        kernels = tf.unstack(tf.cast(experts, self.compute_dtype))
        if self.n_experts == 1:
            y = self._expert(x, kernels[0], 0, noisy)
        else:
            logits = self._logits(x, side=0)
            self.add_gate_losses(logits, lambda: self._logits(x, side=1))
            y = self.route(x, logits, noisy, lambda rows, m: self._expert_or_none(rows, kernels[m], m, noisy))
        self.add_expert_losses(experts)
        if self.data_format == "channels_first":
            y = tf.transpose(y, [0, self.rank + 1, *range(1, self.rank + 1)])
        return y

    def gates(self, inputs: Tensor) -> Tensor:
        """Returns (B, n): the weight of every expert at evaluation, for inputs as of a call."""
        return gating.top_k_gates(self._logits(self._last(inputs), side=0), self.k, None)

    def gate_entropy(self, logits: Tensor) -> Tensor:
        """Returns 0: the original's convolutions have a constant there."""
        return tf.zeros((), logits.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the convolution's output."""
        shape = self._channels_last(tuple(input_shape))
        spatial = self._spatial(shape[1:-1])
        if self.data_format == "channels_first":
            return (shape[0], self.n_filters, *spatial)
        return (shape[0], *spatial, self.n_filters)

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments as plain values."""
        names = ("rank", "n_filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def _last(self, inputs: Tensor) -> Tensor:
        x = tf.cast(inputs, self.compute_dtype)
        if self.data_format == "channels_first":
            x = tf.transpose(x, [0, *range(2, self.rank + 2), 1])
        return x

    def _channels_last(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return shape if self.data_format == "channels_last" else (shape[0], *shape[2:], shape[1])

    def _spatial(self, sizes: Sequence[int | None]) -> list[int | None]:
        """Returns the output's length along every axis.  Raises: ValueError where nothing is left."""
        out: list[int | None] = []
        for size, kernel, stride, dilation in zip(
            sizes, self.kernel_size, self.strides, self.dilation_rate, strict=True
        ):
            span = (kernel - 1) * dilation + 1 if self.padding == "valid" else 1
            left = None if size is None else -((size - span + 1) // -stride)
            if left is not None and left < 1:
                raise ValueError(f"input of {size} along an axis: shorter than the kernel of {span}")
            out.append(left)
        return out

    def _convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        # The format is named because the eager gradient of a three-dimensional one asks for it.
        return tf.nn.convolution(
            x,
            kernel,
            self.strides,
            self.padding.upper(),
            dilations=self.dilation_rate,
            data_format=LAYOUT[self.rank],
        )

    def _logits(self, x: Tensor, side: int) -> Tensor:
        """Returns (B, n) logits of the gate's tower.  Args: side — 0 posterior, 1 prior."""
        conv, conv_bias, flat, bias = (pair[side] for pair in self.tower)
        y = self._convolve(x, tf.cast(conv, x.dtype)) + tf.cast(conv_bias, x.dtype)
        y = tf.where(y > 0, y, 0.2 * y)  # leaky ReLU, which TensorFlow fails to fuse here and says so
        axes = list(range(1, self.rank + 1))
        if self.pooled:
            y = tf.nn.pool(y, [2] * self.rank, "MAX", [2] * self.rank, "VALID")
            y = tf.reshape(y, (-1, int(flat.shape[0])))
        else:
            y = tf.reduce_mean(y, axis=axes)
        return tf.matmul(tf.cast(y, self.variable_dtype), flat) + bias

    def _expert_or_none(self, rows: Tensor, mu: Tensor, m: int, noisy: bool) -> Tensor:
        """Returns `_expert` of rows that may be none."""
        # TensorFlow's convolution of an empty batch has the shape of its input: one row more, then cut off.
        spare = tf.zeros(tf.concat([[1], tf.shape(rows)[1:]], axis=0), rows.dtype)
        return self._expert(tf.concat([rows, spare], axis=0), mu, m, noisy)[:-1]

    def _expert(self, x: Tensor, mu: Tensor, m: int, noisy: bool) -> Tensor:
        """Returns the output of expert m for its rows x (B_m, …, c)."""
        dtype = x.dtype
        y = self._convolve(x, mu)
        if noisy and self.draws_weights:
            sigma = tf.broadcast_to(tf.cast(tf.nn.softplus(self.rho[..., m]), dtype), tf.shape(mu))
            draw = self._local if self.options["noise"] == "local" else self._flipout
            y = y + draw(x, sigma)
        return self.activate(y, m)

    def _flipout(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Returns conv(x ∘ s, E) ∘ r with one draw E ~ N(0, sigma²) and signs per (example, channel)."""
        ones = [1] * self.rank
        rows = tf.shape(x)[0]
        s = self.random.signs((rows, *ones, int(x.shape[-1])), x.dtype)
        r = self.random.signs((rows, *ones, self.n_filters), x.dtype)
        return self._convolve(x * s, sigma * self.random.normal(tf.shape(sigma), x.dtype)) * r

    def _local(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Returns noise of that variance at the outputs, independent for every example and place."""
        spread = tf.sqrt(self._convolve(tf.square(x), tf.square(sigma)) + 1e-12)
        return spread * self.random.normal(tf.shape(spread), x.dtype)


@tf_keras.saving.register_keras_serializable(package="hvcl")
class Conv1DMoVE(ConvMoVE):
    """`ConvMoVE` of rank 1: input (B, length, channels)."""

    def __init__(self, n_filters: int, n_experts: int, kernel_size: Any, *args: Any, **options: Any) -> None:
        options.pop("rank", None)
        super().__init__(1, n_filters, n_experts, kernel_size, *args, **options)


@tf_keras.saving.register_keras_serializable(package="hvcl")
class Conv2DMoVE(ConvMoVE):
    """`ConvMoVE` of rank 2: input (B, height, width, channels)."""

    def __init__(self, n_filters: int, n_experts: int, kernel_size: Any, *args: Any, **options: Any) -> None:
        options.pop("rank", None)
        super().__init__(2, n_filters, n_experts, kernel_size, *args, **options)


@tf_keras.saving.register_keras_serializable(package="hvcl")
class Conv3DMoVE(ConvMoVE):
    """`ConvMoVE` of rank 3: input (B, depth, height, width, channels)."""

    def __init__(self, n_filters: int, n_experts: int, kernel_size: Any, *args: Any, **options: Any) -> None:
        options.pop("rank", None)
        super().__init__(3, n_filters, n_experts, kernel_size, *args, **options)


def _sizes(value: int | Sequence[int], rank: int, name: str) -> tuple[int, ...]:
    """Returns one whole number per axis.  Raises: ValueError for anything else."""
    sizes = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(sizes) != rank or not all(isinstance(size, int) and size >= 1 for size in sizes):
        raise ValueError(f"{name} {value!r}: {rank} whole number(s), 1 or more")
    return sizes

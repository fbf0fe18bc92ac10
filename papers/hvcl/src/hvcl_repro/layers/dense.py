"""DenseMoVE: a dense layer of variational experts behind a gate."""

from typing import Any

import tensorflow as tf
import tf_keras

from hvcl_repro.layers import gating
from hvcl_repro.layers.move import MoVE
from hvcl_repro.layers.options import DEFAULTS

Tensor = Any
TINY = 1e-12  # keeps square roots differentiable at zero


@tf_keras.saving.register_keras_serializable(package="hvcl")
class DenseMoVE(MoVE):
    """Dense mixture of variational experts: input (..., d), output (..., units).

    Args: units — outputs; n_experts; options as in `MoVE`.
    Weights (each as posterior and prior): mu (d, units, n), rho (units, n), bias (units, n), gate (d, n) and
    its bias (n,).
    Source: spec 3.1 and 4.
    Differs from the original: inputs of any rank (all leading axes are examples); k larger than n is n.
    """

    def __init__(self, units: int, n_experts: int, **options: Any) -> None:
        if isinstance(units, bool) or not isinstance(units, int) or units < 1:
            raise ValueError(f"units {units!r}: a whole number, 1 or more")
        super().__init__(n_experts, DEFAULTS, **options)
        self.units = units

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of d features.  Raises: ValueError if d is unknown or rank is 1."""
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(f"input {tuple(input_shape)}: (..., features), the number of features known")
        d, n = int(input_shape[-1]), self.n_experts
        self.build_experts((d, self.units, n), "zeros")
        if n > 1:
            he = tf_keras.initializers.HeUniform(seed=next(self._seeds))
            self.gate, self.gate_0 = self.pair("gating_kernel", (d, n), he, "zeros", "gating")
            if self.options["use_gating_bias"]:
                start = self.options["gating_bias_initializer"]
                self.gate_bias, self.gate_bias_0 = self.pair(
                    "gating_bias", (n,), start, "zeros", "gating", kernel=False
                )
        super().build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Returns (..., units); adds the losses named by `loss_names`."""
        noisy = bool(training) or self.stochastic_eval
        d = int(self.mu.shape[0])
        x = tf.reshape(tf.cast(inputs, self.compute_dtype), (-1, d))
        experts = self.experts()
        kernels = tf.unstack(tf.cast(experts, self.compute_dtype))
        if self.n_experts == 1:
            y = self._expert(x, kernels[0], 0, noisy)
        else:
            logits = self._logits(x, prior=False)
            self.add_gate_losses(logits, lambda: self._logits(x, prior=True))
            y = self.route(x, logits, noisy, lambda rows, m: self._expert(rows, kernels[m], m, noisy))
        self.add_expert_losses(experts)
        if inputs.shape.rank == 2:
            return y
        return tf.reshape(y, tf.concat([tf.shape(inputs)[:-1], [self.units]], axis=0))

    def gates(self, inputs: Tensor) -> Tensor:
        """Returns (B, n): the weight of every expert at evaluation, for inputs (..., d) of B examples."""
        x = tf.reshape(tf.cast(inputs, self.compute_dtype), (-1, int(self.mu.shape[0])))
        return gating.top_k_gates(self._logits(x, prior=False), self.k, None)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns (..., units)."""
        return (*tuple(input_shape)[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments as plain values."""
        return {**super().get_config(), "units": self.units}

    def _logits(self, x: Tensor, *, prior: bool) -> Tensor:
        kernel = self.gate_0 if prior else self.gate
        wide = tf.cast(x, self.variable_dtype)
        logits = tf.matmul(wide, kernel)
        if self.options["use_gating_bias"]:
            logits = logits + (self.gate_bias_0 if prior else self.gate_bias)
        return logits

    def _expert(self, x: Tensor, mu: Tensor, m: int, noisy: bool) -> Tensor:
        """Returns (B_m, units) of expert m for its rows x (B_m, d)."""
        dtype = x.dtype
        y = tf.matmul(x, mu)
        if noisy and self.draws_weights:
            sigma = tf.cast(tf.nn.softplus(self.rho[..., m]), dtype)
            draw = self._local if self.options["noise"] == "local" else self._flipout
            y = y + draw(x, mu, sigma)
        return self.activate(y, m)

    def _flipout(self, x: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
        """Returns ((x ∘ s) E) ∘ r: one draw E ~ N(0, sigma²), random signs s, r per example."""
        e = sigma * self.random.normal(mu.shape, x.dtype)
        s = self.random.signs(tf.shape(x), x.dtype)
        r = self.random.signs((tf.shape(x)[0], self.units), x.dtype)
        return tf.matmul(x * s, e) * r

    def _local(self, x: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
        """Returns noise of Flipout's variance at the outputs, independent for every example."""
        if len(sigma.shape) == 1:
            # Not tf.norm: a row of zeros, as ReLU may make one, has no gradient there.
            length = tf.sqrt(tf.reduce_sum(tf.square(x), axis=-1, keepdims=True) + TINY)
            spread = length * sigma
        else:
            spread = tf.sqrt(tf.matmul(tf.square(x), tf.square(sigma)) + TINY)
        return spread * self.random.normal(tf.shape(spread), x.dtype)

"""The options that all MoVE layers share: names, defaults, checks, and their way to and from a config."""

import math
import warnings
from typing import Any

import tf_keras

from hvcl_repro.compat import undone
from hvcl_repro.layers.gating import clipped_k
from hvcl_repro.layers.noise import NOISES

REDUCTIONS = ("row_mean", "sum_over_n")
SHARING = ("unit", "node", "full")

_ACTIVATIONS = ("expert_activation", "gating_activation")
_INITIALIZERS = ("expert_bias_initializer", "gating_bias_initializer")
_REGULARIZERS = (
    "expert_kernel_regularizer", "gating_kernel_regularizer", "attn_kernel_regularizer",
    "gating_noise_kernel_regularizer", "expert_bias_regularizer", "gating_bias_regularizer",
)  # fmt: skip
_CONSTRAINTS = (
    "expert_kernel_constraint", "gating_kernel_constraint", "expert_bias_constraint",
    "gating_bias_constraint",
)  # fmt: skip
_CALLABLES = ("kl_div_fun", "entropy_fun")
# Accepted because the original's constructor has them; the original does not use them either.
_UNUSED: dict[str, Any] = {
    "attn_kernel_regularizer": None, "gating_noise_kernel_regularizer": None, "gating_prior_momentum": None,
    "n_monte_carlo": None, "attn": None, "gating_noise_sigma": None,
}  # fmt: skip

DEFAULTS: dict[str, Any] = {
    "expert_activation": None,
    "gating_activation": "softmax",
    "use_expert_bias": True,
    "use_gating_bias": True,
    "expert_bias_initializer": "zeros",
    "gating_bias_initializer": "zeros",
    **dict.fromkeys(_REGULARIZERS),
    **dict.fromkeys(_CONSTRAINTS),
    "gating_beta": 0.01,
    "expert_beta": 0.01,
    "kernel_width": 10.0,
    "diversity_bonus": 1.0,
    "gate_entropy_scale": 1.0,
    "k": 1,
    "kl_div_fun": None,
    "entropy_fun": None,
    "kl_reduction": "row_mean",
    "n_train": 1.0,
    "rho_init": -2.6,
    "rho_sharing": "unit",
    "noise": "flipout",
    "stochastic_eval": False,
    "compat": "fixed",
    "seed": None,
    **_UNUSED,
}
_warned: set[str] = set()


def resolve(
    n_experts: int, given: dict[str, Any], defaults: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns (options, what is left for Keras).

    Raises: ValueError for a value out of range.
    """
    if isinstance(n_experts, bool) or not isinstance(n_experts, int) or n_experts < 1:
        raise ValueError(f"n_experts {n_experts!r}: a whole number, 1 or more")
    options = {name: given.get(name, default) for name, default in defaults.items()}
    left = {name: value for name, value in given.items() if name not in defaults}
    for name in _ACTIVATIONS:
        # The convolutional wrappers of the original pass None, which would leave logits for probabilities.
        if name == "gating_activation" and options[name] is None:
            options[name] = "softmax"
        options[name] = tf_keras.activations.get(options[name])
    for names, module in (
        (_INITIALIZERS, "initializers"),
        (_REGULARIZERS, "regularizers"),
        (_CONSTRAINTS, "constraints"),
    ):
        for name in names:
            options[name] = getattr(tf_keras, module).get(options[name])
    _check(n_experts, options)
    for name, default in _UNUSED.items():
        if options[name] is not default and name not in _warned:
            _warned.add(name)
            warnings.warn(f"{name} is accepted and ignored, as in the original", UserWarning, stacklevel=4)
    if "input_dim" in left:
        left["input_shape"] = (left.pop("input_dim"),)
    return options, left


def _check(n_experts: int, options: dict[str, Any]) -> None:
    clipped_k(options["k"], n_experts)
    if options["kernel_width"] == "auto":
        options["kernel_width"] = 10.0
    for name in ("gating_beta", "expert_beta", "diversity_bonus"):
        if not 0 <= options[name] < math.inf:
            raise ValueError(f"{name} {options[name]!r}: a finite number, 0 or more")
    for name in ("kernel_width", "n_train", "gate_entropy_scale"):
        if not 0 < options[name] < math.inf:
            raise ValueError(f"{name} {options[name]!r}: a finite number above 0")
    undone(options["compat"])
    words = {"kl_reduction": REDUCTIONS, "rho_sharing": SHARING, "noise": NOISES}
    for name, allowed in words.items():
        if options[name] not in allowed:
            raise ValueError(f"{name} {options[name]!r}: one of {', '.join(allowed)}")
    if getattr(options["gating_activation"], "__name__", "") not in ("softmax", "softmax_v2"):
        # Terms and gates are computed from logits, where nothing underflows.
        raise ValueError("gating_activation: softmax; the gate must be a distribution over experts")


def to_config(options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options as plain values that `resolve` takes back."""
    config = dict(options)
    for name in _ACTIVATIONS:
        config[name] = tf_keras.activations.serialize(options[name])
    for name in (*_INITIALIZERS, *_REGULARIZERS, *_CONSTRAINTS):
        config[name] = (
            None if options[name] is None else tf_keras.saving.serialize_keras_object(options[name])
        )
    for name in _CALLABLES:
        config[name] = (
            None if options[name] is None else tf_keras.saving.serialize_keras_object(options[name])
        )
    return config


def from_config(config: dict[str, Any]) -> dict[str, Any]:
    """Returns constructor arguments from `to_config`'s values; callables must be registered with Keras."""
    out = dict(config)
    for name in (*_INITIALIZERS, *_REGULARIZERS, *_CONSTRAINTS, *_CALLABLES):
        if isinstance(out.get(name), dict):
            out[name] = tf_keras.saving.deserialize_keras_object(out[name])
    return out

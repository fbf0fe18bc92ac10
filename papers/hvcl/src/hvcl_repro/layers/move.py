"""What dense and convolutional MoVE layers share: weights, the four terms of the loss, consolidation."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from hvcl_repro.compat import undone
from hvcl_repro.layers import divergence, gating
from hvcl_repro.layers.dispatcher import SparseDispatcher
from hvcl_repro.layers.initializers import HeUniformExpertInitializer, OriginalExpertInitializer
from hvcl_repro.layers.noise import Noise
from hvcl_repro.layers.options import from_config, resolve, to_config

Tensor = Any
LOSSES = ("gate_mi", "gate_kl", "diversity", "expert_kl")
ORIGINAL_LOSSES = ("marginal_entropy", "conditional_entropy", "gate_kl", "diversity", "expert_kl")


class MoVE(tf_keras.layers.Layer):
    """A layer of n variational experts and a gate that sends each example to k of them.

    Every weight is posterior and prior: `post_*` is trained, `prior_*` is the posterior after the previous
    task (`consolidate`).  A call adds its losses in the order of `loss_names`; with one expert there is no
    gate and only the experts' KL is left.

    Args: n_experts; the options of `hvcl_repro.layers.options` by name:
        expert_beta, gating_beta — weights of the two KL terms; held in the variables `kl_weights` and
        `gating_kl_weight`, so they can be assigned between tasks without a retrace;
        kl_reduction — "row_mean": sum over output units, mean over input rows and experts, as the original;
        "sum_over_n": sum over all weights divided by `n_train`, the scale of the evidence bound;
        diversity_bonus — weight of I(m; x) and of the determinant; gate_entropy_scale divides the former;
        k — experts per example, or "all"; noise — "flipout": one draw of the weights per call with signs per
        example; "local": the same law per example, drawn at the outputs (Kingma et al. 2015), cheaper;
        "none": mean weights, only the experts are drawn;
        rho_sharing — "unit": one scale per output unit, of a convolution also per place of the kernel but the
        first axis and per channel, as the original; "node": one per unit or filter; "full": one per weight;
        rho_init — its mean at start;
        stochastic_eval — noise and drawn gates at evaluation too; compat — "original" or parts of
        it, see `hvcl_repro.compat`;
        kl_div_fun (q, p), entropy_fun (p) — on TFP distributions, in place of the closed forms; seed.
    Raises: ValueError for values out of range.
    """

    mean_rows = False  # how the original's convolutions measure distance

    def __init__(self, n_experts: int, defaults: dict[str, Any], **given: Any) -> None:
        options, left = resolve(n_experts, given, defaults)
        super().__init__(**left)
        self.n_experts, self.options = n_experts, options
        self.k = gating.clipped_k(options["k"], n_experts)
        self.undone = undone(options["compat"])
        self.stochastic_eval = options["stochastic_eval"] or "evaluation" in self.undone
        seed = random.getrandbits(31) if options["seed"] is None else options["seed"]
        words = np.random.SeedSequence(seed).generate_state(9) >> 1
        self._seeds = iter([int(word) for word in words[1:]])
        self.random = Noise(int(words[0]))
        # Named here too, where Keras tracks it: a SavedModel of the layer needs all its variables.
        self._random_state = self.random.generator
        self._pairs: list[tuple[Any, Any]] = []  # (posterior, prior)
        self.omitted: frozenset[str] = frozenset()

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Names of the losses that one call adds, in order, but for those in `omitted`."""
        if self.n_experts == 1:
            return LOSSES[-1:]
        return ORIGINAL_LOSSES if "entropy" in self.undone else LOSSES

    def weigh(self, expert: float, gating: float, *, settled: float | None = None) -> None:
        """Set the weights of both KL terms, and from here on leave out of a call what has no weight.

        `omitted` then holds the names of what is neither computed nor among the losses; a caller that has
        compiled a call compiles it again where that has changed.
        Args: settled — leave the determinant out too if it is above this: experts so far apart are not pushed
        any further; for eight experts or fewer.
        """
        self.kl_weights.assign(expert)
        self.gating_kl_weight.assign(gating)
        off = {name for name, weight in (("expert_kl", expert), ("gate_kl", gating)) if weight == 0}
        if self.options["diversity_bonus"] == 0:
            off |= {"gate_mi", "marginal_entropy", "conditional_entropy", "diversity"}
        elif settled is not None and self.n_experts > 1 and float(self.determinant()) > settled:
            off.add("diversity")
        self.omitted = frozenset(off & set(self.loss_names))

    @property
    def draws_weights(self) -> bool:
        """Whether a training call draws the weights, not only the experts."""
        return bool(self.options["noise"] != "none")

    def consolidate(self) -> None:
        """Make the posterior the prior: what the layer knows now is what it is held to from here on.

        Source: spec 4.4.
        """
        for post, prior in self._pairs:
            prior.assign(post)

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments as plain values."""
        return {**super().get_config(), "n_experts": self.n_experts, **to_config(self.options)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Returns a layer of the same arguments."""
        return cls(**from_config(config))

    # --- weights ---------------------------------------------------------------------------------------

    def pair(
        self, name: str, shape: tuple[int, ...], post: Any, prior: Any, part: str, *, kernel: bool = True
    ) -> tuple[Any, Any]:
        """Returns (posterior, prior) variables.  Args: part — "expert" or "gating": whose regularizers."""
        kind = f"{part}_{'kernel' if kernel else 'bias'}"
        made = []
        for side, init in (("post", post), ("prior", prior)):
            own = side == "post"
            made.append(
                self.add_weight(
                    name=f"{side}_{self.name}_{name}",
                    shape=shape,
                    initializer=init,
                    trainable=own,
                    regularizer=self.options[f"{kind}_regularizer"] if own else None,
                    constraint=self.options[f"{kind}_constraint"] if own else None,
                    experimental_autocast=False,  # the terms below need full precision
                )
            )
        self._pairs.append((made[0], made[1]))
        return made[0], made[1]

    def build_experts(self, shape: tuple[int, ...], prior_mu: Any) -> None:
        """Make mu (…, in, units, n), rho and bias, and the two weights of the KL terms."""
        original = "initializer" in self.undone
        he = OriginalExpertInitializer if original else HeUniformExpertInitializer
        self.mu, self.mu_0 = self.pair(
            "expert_mu_kernel", shape, he(self.n_experts, seed=next(self._seeds)), prior_mu, "expert"
        )
        rho_shape = {"full": shape, "unit": shape[1:], "node": shape[-2:]}[self.options["rho_sharing"]]
        self.rho, self.rho_0 = self.pair(
            "expert_rho_kernel", rho_shape, self._rho_init(), self._rho_init(), "expert", kernel=True
        )
        if self.options["use_expert_bias"]:
            zeros = self.options["expert_bias_initializer"]
            self.bias, self.bias_0 = self.pair(
                "expert_bias", shape[-2:], zeros, "zeros", "expert", kernel=False
            )
        self.kl_weights = self._weight("kl_weights", "expert_beta")
        self.gating_kl_weight = self._weight("gating_kl_weight", "gating_beta")

    def _rho_init(self) -> Any:
        return tf_keras.initializers.RandomNormal(self.options["rho_init"], 0.01, seed=next(self._seeds))

    def _weight(self, name: str, option: str) -> Any:
        value = tf_keras.initializers.Constant(self.options[option])
        return self.add_weight(
            name=f"{self.name}_{name}", shape=(), initializer=value, trainable=False,
            experimental_autocast=False,
        )  # fmt: skip

    # --- forward pass ----------------------------------------------------------------------------------

    def route(self, x: Tensor, logits: Tensor, draw: bool, expert: Callable[[Tensor, int], Tensor]) -> Tensor:
        """Returns the gated sum of the experts' outputs, each expert seeing only its examples.

        Args: x — (B, ...); logits — (B, n); draw — draw the experts; expert — (rows, number) to its output.
        """
        gumbel = self.random.gumbel(tf.shape(logits), logits.dtype) if draw else None
        if "gate" in self.undone and gumbel is not None:
            gates = gating.original_gates(logits, self.k, gumbel)
        else:
            gates = gating.top_k_gates(logits, self.k, gumbel)
        dispatcher = SparseDispatcher(self.n_experts, gates)
        rows = dispatcher.dispatch(x)
        return dispatcher.combine([expert(rows[m], m) for m in range(self.n_experts)])

    def add_gate_losses(self, logits: Tensor, prior: Callable[[], Tensor]) -> None:
        """Add the information between gate and input and the gate's KL.

        Args: logits — (B, n); prior — returns those of the prior.
        """
        if not {"gate_mi", "marginal_entropy"} & self.omitted:
            self._add_information(logits)
        if "gate_kl" not in self.omitted:
            self.add_loss(self.gating_kl_weight * self._gate_kl(logits, prior()))

    def _add_information(self, logits: Tensor) -> None:
        bonus, scale = self.options["diversity_bonus"], self.options["gate_entropy_scale"]
        if "entropy" in self.undone:
            marginal = divergence.entropy(tf.reduce_mean(tf.nn.softmax(logits), axis=0))
            self.add_loss(bonus / scale * marginal)
            self.add_loss(bonus / scale * self.gate_entropy(logits))
        elif self.options["entropy_fun"] is None:
            self.add_loss(-bonus / scale * divergence.mutual_information(logits))
        else:
            marginal = self._entropy_fun(tf.reduce_mean(tf.nn.softmax(logits), axis=0))
            conditional = tf.reduce_mean(self._entropy_fun(tf.nn.softmax(logits)))
            self.add_loss(-bonus / scale * (marginal - conditional))

    def _gate_kl(self, logits: Tensor, logits_0: Tensor) -> Tensor:
        if self.options["kl_div_fun"] is None:
            return divergence.gate_kl(logits, logits_0)
        from tensorflow_probability import distributions as tfd

        q, p = tfd.Categorical(logits=logits), tfd.Categorical(logits=logits_0)
        return tf.reduce_mean(self.options["kl_div_fun"](q, p))

    def gate_entropy(self, logits: Tensor) -> Tensor:
        """Returns mean_b H(gate_b), of the original's losses alone."""
        return divergence.conditional_entropy(logits)

    def _entropy_fun(self, probs: Tensor) -> Tensor:
        from tensorflow_probability import distributions as tfd

        return self.options["entropy_fun"](tfd.Categorical(probs=probs))

    def experts(self) -> Tensor:
        """Returns mu with the experts first, (n, …, in, units): what forward pass and distances read."""
        # One transposition for all; a slice per expert would make a full-size gradient for each of them.
        return divergence.experts_first(tf.convert_to_tensor(self.mu))

    def add_expert_losses(self, experts: Tensor) -> None:
        """Add the determinant (two experts or more) and the experts' KL.  Args: experts — of `experts()`."""
        sigma, sigma_0 = tf.nn.softplus(self.rho), tf.nn.softplus(self.rho_0)
        if self.n_experts > 1 and "diversity" not in self.omitted:
            k = self._similarity(experts, sigma)
            self.add_loss(-self.options["diversity_bonus"] * divergence.diversity(k))
        if "expert_kl" not in self.omitted:
            self.add_loss(self.kl_weights * self._expert_kl(sigma, sigma_0))

    def determinant(self) -> Tensor:
        """Returns det K of the experts as they are, in [0, 1], a scalar."""
        return tf.linalg.det(self._similarity(self.experts(), tf.nn.softplus(self.rho)))

    def _similarity(self, experts: Tensor, sigma: Tensor) -> Tensor:
        """Returns K (n, n): 1 for equal experts, 0 for far ones."""
        spread = divergence.experts_first(sigma)
        if "distance" in self.undone:
            distance = divergence.original_distance(experts, spread, mean_rows=self.mean_rows)
        else:
            scale = divergence.auto_scale(int(self.mu.shape[-2]), self.n_experts)
            distance = scale * divergence.wasserstein(experts, spread)
        return divergence.kernel(distance, self.options["kernel_width"])

    def _expert_kl(self, sigma: Tensor, sigma_0: Tensor) -> Tensor:
        """Returns the experts' KL, reduced as `kl_reduction` says."""
        mu, mu_0 = tf.convert_to_tensor(self.mu), tf.convert_to_tensor(self.mu_0)
        if self.options["kl_div_fun"] is None:
            total = divergence.gaussian_kl(mu, sigma, mu_0, sigma_0)
        else:
            from tensorflow_probability import distributions as tfd

            shape = tf.shape(mu)
            q = tfd.Normal(mu, tf.broadcast_to(sigma, shape))
            p = tfd.Normal(mu_0, tf.broadcast_to(sigma_0, shape))
            total = tf.reduce_sum(self.options["kl_div_fun"](q, p))
        if self.options["kl_reduction"] == "sum_over_n":
            return total / self.options["n_train"]
        # Sum over units, mean over everything else: size of mu without the axis of the units.
        return total * (int(mu.shape[-2]) / mu.shape.num_elements())

    def activate(self, y: Tensor, m: int) -> Tensor:
        """Returns expert m's output: bias added, activation applied."""
        if self.options["use_expert_bias"]:
            y = y + tf.cast(self.bias[:, m], y.dtype)
        return self.options["expert_activation"](y)

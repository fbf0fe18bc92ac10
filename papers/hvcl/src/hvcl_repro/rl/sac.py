"""The agent: networks, targets, temperature, and a block of updates as one compiled call."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from clrepro.seeding import Seeds
from hvcl_repro.layers import move_layers
from hvcl_repro.layers.noise import Noise
from hvcl_repro.rl import losses
from hvcl_repro.rl.environments import ACT_DIM, OBS_DIM, mask
from hvcl_repro.rl.networks import ActorNetwork, SoftQNetwork, matched_width
from hvcl_repro.rl.settings import FIRST_BETA, RLSettings

Tensor = Any
CLIP_NORM = 1.0
ORIGINAL_TARGET_ENTROPY = -8.0
REPORT = (
    "q_loss", "actor_loss", "log_pi", "target", "q", "actor_terms", "q_terms", "alpha", "min_q", "mean",
    "std",
)  # fmt: skip


class SAC:
    """Soft actor-critic over padded spaces, kept from task to task.

    Args: settings; seeds — streams "actor/*", "critic*", "policy"; munchausen — whether rewards get its
        bonus, always so in the program.
    """

    def __init__(self, settings: RLSettings, seeds: Seeds, *, munchausen: bool = True) -> None:
        self.settings, self._munchausen = settings, munchausen
        hidden = settings.hidden_u if settings.hvcl else matched_width(settings.hidden_u, settings.n_exp)
        options: dict[str, Any] = {
            "vmoe": settings.hvcl, "n_experts": settings.n_exp, "k": settings.experts_per_example,
            "compat": settings.compat,
        }  # fmt: skip
        self.actor: Any = ActorNetwork(hidden, seeds, **options)
        self.critics: list[Any] = [SoftQNetwork(hidden, seeds, qi, **options) for qi in ("1", "2")]
        self.targets: list[Any] = [SoftQNetwork(hidden, seeds, qi, **options) for qi in ("1t", "2t")]
        self.log_alpha = tf.Variable(0.0)
        self.noise = Noise(seeds.integer("policy"))
        self._fresh = [model.get_weights() for model in (self.actor, *self.critics)]
        self._optimizers = [
            self._adam(weights)
            for weights in (*(m.trainable_variables for m in (self.actor, *self.critics)), [self.log_alpha])
        ]
        self._mask, self._entropy = tf.Variable(mask(ACT_DIM)), tf.Variable(0.0)
        rows = [
            tf.TensorSpec([None, None, *size]) for size in ((OBS_DIM,), (ACT_DIM,), (), (OBS_DIM,), (), ())
        ]
        self._block = tf.function(self.run_block, input_signature=rows)
        self._act = tf.function(
            self._actions, input_signature=[tf.TensorSpec([None, OBS_DIM]), tf.TensorSpec([], tf.bool)]
        )

    def _adam(self, weights: list[Any]) -> Any:
        optimizer = tf_keras.optimizers.legacy.Adam(self.settings.lr)
        optimizer._create_all_weights(weights)
        return optimizer

    def begin_task(self, number: int, n_actions: int) -> None:
        """Before a task: consolidate, copy the targets, and start optimisers and temperature anew."""
        s = self.settings
        if s.method == "reinit":
            for model, weights in zip((self.actor, *self.critics), self._fresh, strict=True):
                model.set_weights(weights)
        for model in (self.actor, *self.critics):
            # The original leaves its second critic free.
            second = s.original("critic") and model is self.critics[1]
            for layer in move_layers(model):
                layer.consolidate() if number else None
                layer.kl_weights.assign(0.0 if second else s.e_beta if number else FIRST_BETA)
                layer.gating_kl_weight.assign(0.0 if second else s.g_beta if number else FIRST_BETA)
        for target, critic in zip(self.targets, self.critics, strict=True):
            target.set_weights(critic.get_weights())
        for optimizer in self._optimizers:
            for v in optimizer.variables():
                v.assign(tf.zeros_like(v))
        self.log_alpha.assign(0.0)
        self.set_actions(n_actions)

    def set_actions(self, n_actions: int) -> None:
        """Say how many of the padded actions are the environment's."""
        padded = self.settings.original("padding")
        n = ACT_DIM if padded else n_actions
        self._mask.assign(mask(n))
        self._entropy.assign(ORIGINAL_TARGET_ENTROPY if padded else -float(n))

    def act(self, states: NDArray[np.float32], *, explore: bool) -> NDArray[np.float32]:
        """Returns actions (B, 8) in [-1, 1]: drawn, or the squashed mean."""
        drawn = explore or self.settings.original("actions")
        actions: NDArray[np.float32] = self._act(states, drawn).numpy()
        return actions

    def _actions(self, states: Tensor, explore: Tensor) -> Tensor:
        mean, log_std = self.actor(states, training=False)
        drawn = mean + tf.exp(log_std) * self.noise.normal(tf.shape(mean), tf.float32)
        return tf.tanh(tf.where(explore, drawn, mean))

    # --- learning --------------------------------------------------------------------------------------

    def train(
        self, batch: dict[str, Any], weights: Any, n: int
    ) -> tuple[dict[str, float], NDArray[np.float32]]:
        """Do n updates on n · B transitions, drawn beforehand with the priorities of now.

        Returns: (means of what is reported, mean |TD error| of both critics (n · B,)).
        """
        names = ("states0", "actions", "rewards", "states1", "terminals1")
        rows = [np.asarray(v, np.float32) for v in (*(batch[name] for name in names), weights)]
        report, errors = self._block(*(v.reshape(n, -1, *v.shape[1:]) for v in rows))
        return dict(zip(REPORT, report.numpy().tolist(), strict=True)), errors.numpy().ravel()

    def run_block(self, s0: Tensor, a: Tensor, r: Tensor, s1: Tensor, d: Tensor, w: Tensor) -> Any:
        """The loop over updates, (n, B, ...) each; compiled by the constructor."""
        n = tf.shape(s0)[0]
        errors = tf.TensorArray(tf.float32, n)
        report = tf.zeros((len(REPORT),))
        for i in tf.range(n):
            row, error = self._update(s0[i], a[i], r[i], s1[i], d[i], w[i])
            errors = errors.write(i, error)
            report += row
        return report / tf.cast(n, tf.float32), errors.stack()

    def _update(
        self, s0: Tensor, a: Tensor, r: Tensor, s1: Tensor, d: Tensor, w: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One update: critics, actor, targets, temperature.  Returns (report, mean |TD error| (B,))."""
        alpha = tf.exp(self.log_alpha)
        target = self._target(s0, a, r, s1, d, alpha)
        error, q_loss, q_terms, q = self._update_critics(s0, a, target, w)
        log_pi, actor_loss, actor_terms, policy = self._update_actor(s0, w, alpha)
        polyak = self.settings.polyak_coef
        for mine, its in zip(self.targets, self.critics, strict=True):
            for t, v in zip(mine.weights, its.weights, strict=True):
                t.assign(polyak * t + (1.0 - polyak) * v)
        with tf.GradientTape() as tape:
            loss = losses.alpha_loss(tf.exp(self.log_alpha), log_pi, self._entropy)
        self._optimizers[3].apply_gradients([(tape.gradient(loss, self.log_alpha), self.log_alpha)])
        mean = tf.reduce_mean
        report = tf.stack(
            [q_loss, actor_loss, mean(log_pi), mean(target), mean(q), actor_terms, q_terms, alpha, *policy]
        )
        return report, error

    def _target(self, s0: Tensor, a: Tensor, r: Tensor, s1: Tensor, d: Tensor, alpha: Tensor) -> Tensor:
        mean, log_std = self.actor(s0, training=False)
        if self.settings.original("munchausen"):  # tanh(mean), the deviation for its logarithm, no Jacobian
            mean, log_std = tf.tanh(mean), tf.exp(log_std)
            taken = losses.log_prob(a, mean, log_std, self._mask) + tf.reduce_sum(
                losses.squash_log_det(a), -1
            )
        else:
            taken = losses.log_prob(losses.unsquash(a), mean, log_std, self._mask)
        reward = r + losses.munchausen(taken) if self._munchausen else r
        mean, log_std = self.actor(s1, training=False)
        u = mean + tf.exp(log_std) * self.noise.normal(tf.shape(mean), tf.float32)
        log_pi, action = losses.log_prob(u, mean, log_std, self._mask), self._own(tf.tanh(u))
        q = tf.minimum(*(target(s1, action, training=False)[:, 0] for target in self.targets))
        return tf.stop_gradient(losses.td_target(reward, d, self.settings.gamma, q, alpha, log_pi))

    def _own(self, actions: Tensor) -> Tensor:
        """Returns actions with zeros where the environment has none."""
        return actions * self._mask

    def _update_critics(self, s0: Tensor, a: Tensor, target: Tensor, w: Tensor) -> tuple[Tensor, ...]:
        errors, total, terms = [], 0.0, 0.0
        for critic, optimizer in zip(self.critics, self._optimizers[1:3], strict=True):
            with tf.GradientTape() as tape:
                q = critic(s0, self._own(a), training=True)[:, 0]
                data, own = tf.reduce_mean(w * losses.huber(target - q)), _terms(critic)
                loss = data + own
            self._apply(optimizer, critic, tape.gradient(loss, critic.trainable_variables))
            errors.append(tf.abs(target - q))
            total, terms = total + data, terms + own
        return 0.5 * (errors[0] + errors[1]), 0.5 * total, 0.5 * terms, q

    def _update_actor(
        self, s0: Tensor, w: Tensor, alpha: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """Returns (log pi (B,), loss, the layers' terms, means of smaller Q, squashed mean and deviation)."""
        with tf.GradientTape() as tape:
            mean, log_std = self.actor(s0, training=True)
            terms = _terms(self.actor)
            u = mean + tf.exp(log_std) * self.noise.normal(tf.shape(mean), tf.float32)
            log_pi, action = losses.log_prob(u, mean, log_std, self._mask), self._own(tf.tanh(u))
            q = tf.minimum(*(critic(s0, action, training=False)[:, 0] for critic in self.critics))
            data = tf.reduce_mean(w * (alpha * log_pi - q))
            loss = data + terms
        self._apply(self._optimizers[0], self.actor, tape.gradient(loss, self.actor.trainable_variables))
        own = tf.reduce_sum(self._mask) * tf.cast(tf.shape(mean)[0], tf.float32)
        policy = [
            tf.reduce_mean(q),
            *(tf.reduce_sum(self._mask * v) / own for v in (tf.tanh(mean), tf.exp(log_std))),
        ]
        return log_pi, data, terms, policy

    def _apply(self, optimizer: Any, model: Any, gradients: list[Tensor]) -> None:
        clipped, _ = tf.clip_by_global_norm(gradients, CLIP_NORM)
        optimizer.apply_gradients(zip(clipped, model.trainable_variables, strict=True))

    # --- checkpoints -----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Returns every number the agent has."""
        return {"variables": [np.asarray(v) for v in self._variables()], "noise": self._states(np.uint64)}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        for v, saved in zip(self._variables(), state["variables"], strict=True):
            v.assign(saved)
        for generator, saved in zip(self._generators(), state["noise"], strict=True):
            generator.state.assign(saved.view(np.int64))

    def _variables(self) -> list[Any]:
        models = [w for model in (self.actor, *self.critics, *self.targets) for w in model.weights]
        return [*models, self.log_alpha, *(v for o in self._optimizers for v in o.variables())]

    def _generators(self) -> list[Any]:
        layers = [layer for m in (self.actor, *self.critics, *self.targets) for layer in move_layers(m)]
        return [self.noise.generator, *(layer.random.generator for layer in layers)]

    def _states(self, kind: Any) -> list[Any]:
        return [np.asarray(generator.state).view(kind) for generator in self._generators()]


def _terms(model: Any) -> Tensor:
    """Returns the sum of the layers' losses of the call just made."""
    return tf.add_n(model.losses) if model.losses else tf.constant(0.0)

"""The original's networks with its arguments and answers, its plain replay, its noise.  Spec 3.6 and 3.8."""

from collections import deque
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from clrepro.seeding import Seeds
from hvcl_repro.layers import move_layers
from hvcl_repro.rl import losses, networks
from hvcl_repro.rl.environments import ACT_DIM, OBS_DIM, mask

Tensor = Any


def _weighed(model: Any, expert_beta: float, gating_beta: float) -> None:
    for layer in move_layers(model):
        layer.kl_weights.assign(expert_beta)
        layer.gating_kl_weight.assign(gating_beta)


class ActorNetwork(networks.ActorNetwork):
    """The squashed Gaussian policy over the padded actions.

    Args: as in the original; n_actions — at most 8; inputdim — 28; logprob_epsilon is not needed any more.
    Raises: ValueError for other sizes.
    """

    def __init__(
        self, n_hidden_units: int, n_actions: int, logprob_epsilon: float, expert_beta: float,
        gating_beta: float, inputdim: int, n_experts: int = 1, vmoe: bool = True, k: int = 1,
        seed: int = 1234,
    ) -> None:  # fmt: skip
        if inputdim != OBS_DIM or n_actions > ACT_DIM:
            raise ValueError(f"inputdim {inputdim}, n_actions {n_actions}: {OBS_DIM}, and {ACT_DIM} at most")
        super().__init__(
            n_hidden_units, Seeds(seed), vmoe=vmoe, n_experts=n_experts, k=min(k, n_experts), compat="fixed"
        )
        _weighed(self, expert_beta, gating_beta)
        self._mask = tf.constant(mask(n_actions))
        self._noise = tf.random.Generator.from_seed(seed)

    def call(self, states: Tensor, training: bool | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns (drawn action (B, 8), its log density (B, 1), tanh(mean), deviation)."""
        mean, log_std = super().call(states, training=training)
        u = mean + tf.exp(log_std) * self._noise.normal(tf.shape(mean))
        log_pi = losses.log_prob(u, mean, log_std, self._mask)
        return tf.tanh(u), log_pi[:, None], tf.tanh(mean), tf.exp(log_std)

    def loss_call(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Returns what a training call returns, and the sum of the layers' losses."""
        out = self(states, training=True)
        return (*out, tf.add_n(self.losses) if self.losses else tf.constant(0.0))


class SoftQNetwork(networks.SoftQNetwork):
    """The value (B, 1) of states (B, 28) and padded actions (B, 8).

    Args: as in the original; inputdim — 36.  Raises: ValueError for another size.
    """

    def __init__(
        self, n_hidden_units: int, expert_beta: float, gating_beta: float, inputdim: int, qi: str = "0",
        n_experts: int = 1, vmoe: bool = True, k: int = 1, seed: int = 1234,
    ) -> None:  # fmt: skip
        if inputdim != OBS_DIM + ACT_DIM:
            raise ValueError(f"inputdim {inputdim}: {OBS_DIM + ACT_DIM}")
        options: dict[str, Any] = {"vmoe": vmoe, "n_experts": n_experts, "k": min(k, n_experts)}
        super().__init__(n_hidden_units, Seeds(seed), qi, compat="fixed", **options)
        _weighed(self, expert_beta, gating_beta)

    def loss_call(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the value of a training call, and the sum of the layers' losses."""
        value = self(states, actions, training=True)
        return value, tf.add_n(self.losses) if self.losses else tf.constant(0.0)


class ReplayBuffer:
    """The last transitions, drawn uniformly.  Args: buffer_size; seed."""

    def __init__(self, buffer_size: int, seed: int = 1234) -> None:
        self._rows: deque[tuple[Any, ...]] = deque(maxlen=buffer_size)
        self._rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self._rows)

    def store(self, state: Any, action: Any, reward: float, next_state: Any, done: bool) -> None:
        """Keep one transition; the oldest goes when there is no room."""
        self._rows.append((state, action, reward, next_state, done))

    def fetch_sample(self, num_samples: int) -> tuple[NDArray[np.float32], ...]:
        """Returns five arrays (n, ...), n at most what is stored, drawn without replacement."""
        chosen = self._rng.choice(len(self._rows), min(num_samples, len(self._rows)), replace=False)
        columns = zip(*(self._rows[i] for i in chosen), strict=True)
        return tuple(np.asarray(column, np.float32) for column in columns)


class SpacesReplayBuffer(ReplayBuffer):
    """The same under the arguments of the original's `replay_buffer.py`; the spaces are not needed."""

    def __init__(self, state_space: Any, action_space: Any, max_size: int = 50_000, seed: int = 1234) -> None:
        super().__init__(max_size, seed)


class OUNoise:
    """Ornstein-Uhlenbeck noise: x moves by theta (mu - x) + sigma N(0, 1) a step.

    Args: size; mu, theta, sigma; seed.
    """

    def __init__(
        self, size: int, mu: float = 0.0, theta: float = 0.15, sigma: float = 0.2, seed: int = 1234
    ) -> None:
        self.mu, self.theta, self.sigma = np.full(size, mu), theta, sigma
        self._rng = np.random.default_rng(seed)
        self.reset()

    def reset(self) -> None:
        """Begin at the mean again."""
        self.state = self.mu.copy()

    def sample(self) -> NDArray[np.float64]:
        """Returns the next value (size,)."""
        noise = self.sigma * self._rng.standard_normal(len(self.mu))
        self.state = self.state + self.theta * (self.mu - self.state) + noise
        return self.state

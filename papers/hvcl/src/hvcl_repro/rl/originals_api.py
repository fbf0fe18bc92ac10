"""The original's two classes, `SAC` and `Agent`, on our agent.  Spec 3.8.

For scripts that were written against the original; our own program is `hvcl_repro.rl.train`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from clrepro.errors import UsageError
from clrepro.io.atomic import write_atomically
from clrepro.io.checkpoint import MAX_BYTES, decode_state, encode_state
from clrepro.io.regular_files import read_regular_file
from clrepro.seeding import Seeds
from hvcl_repro.rl import sac
from hvcl_repro.rl.environments import ACT_DIM, OBS_DIM
from hvcl_repro.rl.parallel import SubprocVecEnv
from hvcl_repro.rl.settings import EPISODE_SLICE, RLSettings

UPDATES = 50  # per phase
EVERY = 10_000  # environment steps between evaluations
LONGEST = 1000  # steps of an evaluation episode
NO_REPLAY = "replay of old tasks' transitions is not offered: no released run of the original used it"


class SAC:
    """One task's agent.

    Args: as in the original; save_dir — where `save` writes; task — its number, 0 for the first: betas count
        from the second on; m_rl — the Munchausen bonus; total_episodes is accepted and has no use.
    Raises: UsageError for spaces beyond the padding.
    Differs from the original: seeded (`seed`); `copy_weights` consolidates the layers.
    """

    def __init__(
        self, largest_obs_dim: int, largest_act_dim: int, discount: float, polyak_coef: float, lr: float,
        n_hidden_units: int, save_dir: str | Path, task: int, total_episodes: int, n_experts: int = 1,
        k: int = 1, vmoe: bool = True, m_rl: bool = True, exp_beta: float = 1.0, gate_beta: float = 1.0,
        *, seed: int = 1234,
    ) -> None:  # fmt: skip
        for name, size, room in (("obs", largest_obs_dim, OBS_DIM), ("act", largest_act_dim, ACT_DIM)):
            if size > room:
                raise UsageError(f"largest_{name}_dim {size}: {room} at most")
        settings = RLSettings(
            hvcl=vmoe, method="hvcl" if vmoe else "dense", hidden_u=n_hidden_units, lr=lr, gamma=discount,
            polyak_coef=polyak_coef, n_exp=n_experts, k=k, e_beta=exp_beta, g_beta=gate_beta, seed=seed,
        )  # fmt: skip
        self.task, self.save_dir, self.obs_dim = task, Path(save_dir), largest_obs_dim
        self.agent = sac.SAC(settings, Seeds(seed), munchausen=m_rl)
        self.n_actions = largest_act_dim
        self.agent.begin_task(0 if task == 0 else task, largest_act_dim)

    def reset_state(self, actions_dim: int, obs_dim: int, n_actions: int, act_lim: Any, env: Any) -> None:
        """Say how many actions the environment at hand has; the others are the original's and unused."""
        self.n_actions = n_actions
        self.agent.set_actions(n_actions)

    def actions(self, states: Any) -> NDArray[np.float32]:
        """Returns drawn actions (B, 8) for states (B, obs)."""
        return self.agent.act(self._padded(states), explore=True)

    def action(self, state: Any) -> NDArray[np.float32]:
        """Returns a drawn action (n_actions,) for one state (obs,)."""
        return self.actions(np.asarray(state)[None])[0, : self.n_actions]

    def step(self, obs: Any) -> NDArray[np.float32]:
        """Returns the squashed mean actions (B, 8) for states (B, obs)."""
        return self.agent.act(self._padded(obs), explore=False)

    def softq_value(self, states: Any, actions: Any) -> Any:
        """Returns the first critic's values (B, 1)."""
        return self._q(0, states, actions)

    def softq_value2(self, states: Any, actions: Any) -> Any:
        """Returns the second critic's values (B, 1)."""
        return self._q(1, states, actions)

    def get_models(self) -> tuple[Any, ...]:
        """Returns (actor, critic 1, critic 2, target 1, target 2)."""
        return (self.agent.actor, *self.agent.critics, *self.agent.targets)

    def copy_weights(self, old_models: Sequence[Any]) -> None:
        """Continue from the networks of the task before, whose posteriors become priors."""
        for mine, old in zip(self.get_models(), old_models, strict=True):
            mine.set_weights(old.get_weights())
        self.agent.begin_task(max(self.task, 1), self.n_actions)

    def train(
        self, sample: dict[str, Any], batch_size: int, experience_weights: Any, old_sample: Any = None,
        old_experience_weights: Any = None, task: int = 1,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Do one update on a batch as `ExperienceBuffer.get_batch` returns it.

        Returns: q loss, actor loss, mean log pi, mean target, mean Q, mean smaller Q, the actor's and the
        critics' layer losses, alpha, mean action, mean deviation, |TD errors| (B, 1), None.
        Raises: UsageError for an old sample.
        """
        if old_sample is not None or old_experience_weights is not None:
            raise UsageError(NO_REPLAY)
        r, errors = self.agent.train(sample, np.asarray(experience_weights).reshape(batch_size), 1)
        names = (
            "q_loss", "actor_loss", "log_pi", "target", "q", "min_q", "actor_terms", "q_terms", "alpha",
            "mean", "std",
        )  # fmt: skip
        return (*(r[name] for name in names), errors[:, None], None)

    def save(self, name: str = "sac.state") -> Path:
        """Write every number of the agent into `save_dir`.  Returns: the path."""
        self.save_dir.mkdir(parents=True, exist_ok=True)
        write_atomically(self.save_dir / name, encode_state(self.agent.state()))
        return self.save_dir / name

    def load(self, path: str | Path) -> None:
        """Continue from what `save` wrote.  Raises: DataError if it is missing or damaged."""
        data = read_regular_file(Path(path), MAX_BYTES)
        self.agent.load(decode_state(data, str(path)))

    def _padded(self, states: Any) -> NDArray[np.float32]:
        given = np.asarray(states, np.float32)
        out = np.zeros((len(given), OBS_DIM), np.float32)
        out[:, : given.shape[1]] = given
        return out

    def _q(self, number: int, states: Any, actions: Any) -> Any:
        given = np.asarray(actions, np.float32)
        padded = np.zeros((len(given), ACT_DIM), np.float32)
        padded[:, : given.shape[1]] = given
        return self.agent.critics[number](tf.constant(self._padded(states)), tf.constant(padded))


class Agent:
    """The loop of one task around a `SAC`.

    Args: as in the original; train_n_steps — environment steps of the task; model — a `SAC`;
        replay_buffer — an `ExperienceBuffer` of 28 + 8 numbers.
    """

    def __init__(
        self, model: SAC, replay_buffer: Any, replay_start_size: int, batch_size: int, train_n_steps: int,
        largest_act_dim: int, largest_obs_dim: int, vmoe: bool, task: int, train_interval: int,
    ) -> None:  # fmt: skip
        self.model, self.buffer = model, replay_buffer
        self.start, self.batch_size, self.n_steps = replay_start_size, batch_size, train_n_steps
        self.task, self.train_interval = task, train_interval
        self.envs: SubprocVecEnv | None = None
        self.eval_envs: list[SubprocVecEnv] = []

    def reset_state(
        self, train_env: SubprocVecEnv, n_actions: int, eval_envs: Sequence[SubprocVecEnv],
        continual_replay_buffer: Any = None,
    ) -> None:  # fmt: skip
        """Say where to train and where to evaluate: environments of all tasks so far, in order.

        Raises: UsageError for a buffer of old tasks.
        """
        if continual_replay_buffer is not None:
            raise UsageError(NO_REPLAY)
        self.envs, self.eval_envs = train_env, list(eval_envs)
        self.model.reset_state(ACT_DIM, OBS_DIM, n_actions, None, train_env)

    def train(self) -> tuple[list[list[float]], None]:
        """Train for `train_n_steps`.  Returns: (mean raw return at every evaluation, a list per environment;
        None in the place of the buffer of old tasks).

        Raises: UsageError before `reset_state`.
        """
        if self.envs is None:
            raise UsageError("Agent.train before Agent.reset_state: no environment")
        curves: list[list[float]] = [[] for _ in self.eval_envs]
        seen, steps, evaluated = self.envs.reset(), 0, 0
        while steps < self.n_steps:
            for _ in range(EPISODE_SLICE):
                actions = self.model.actions(seen)
                got, rewards, _, infos = self.envs.step(actions)
                last = np.stack([info["final_observation"] for info in infos])
                ended = [info["terminated"] for info in infos]
                self.buffer.extend(seen, actions, rewards, last, ended)
                seen, steps = got, steps + self.envs.no_of_envs
            if self.buffer.n_entries > self.start:
                self._learn(steps)
            while evaluated < min(steps, self.n_steps) // EVERY:
                evaluated += 1
                for curve, value in zip(curves, self._returns(), strict=True):
                    curve.append(value)
        return curves, None

    def test(self, path: str | Path) -> list[float]:
        """Returns the mean raw return on every evaluation environment of the agent saved at `path`."""
        self.model.load(path)
        return self._returns()

    def _learn(self, steps: int) -> None:
        drawn, errors = [], []
        for _ in range(UPDATES):
            batch, weights, slots = self.buffer.get_batch(steps, self.batch_size)
            errors.append(self.model.train(batch, len(slots), weights, task=self.task)[-2][:, 0])
            drawn.append(slots)
        self.buffer.update_priority(np.concatenate(drawn), np.concatenate(errors))

    def _returns(self) -> list[float]:
        means = []
        for envs in self.eval_envs:
            seen, total = envs.reset(), np.zeros(envs.no_of_envs)
            running = np.ones(envs.no_of_envs, bool)
            for _ in range(LONGEST):
                seen, _, done, _ = envs.step(self.model.step(seen))
                total += np.where(running, envs.get_original_reward(), 0.0)
                running &= ~done
                if not running.any():
                    break
            means.append(float(total.mean()))
        return means

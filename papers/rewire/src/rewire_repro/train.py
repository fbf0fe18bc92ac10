"""The training loop of one task: act, store, update."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rewire_repro.agents import Agent
from rewire_repro.gaussian import split, squash
from rewire_repro.networks import TwinCritics
from rewire_repro.replay import Replay
from rewire_repro.rng import Rngs
from rewire_repro.sac import Sac
from rewire_repro.scenarios import Step, VectorEnv
from rewire_repro.settings import SacSettings

CHECK_EVERY = 50  # epochs between two looks at whether the losses are numbers
RUNNING = ("obs", "ended", "totals", "reached", "gained")  # tensors about the running episodes
LISTS = ("finished", "succeeded", "finished_at", "rewards", "rewards_at")
STRETCHES = 20  # into which a task's training is cut for its learning curve


class Training:
    """SAC on one task; `run` goes on from wherever `load` has put it.

    Args: n_steps — environment steps; start_steps — steps at the start with uniform actions, one at least.
    Raises: FloatingPointError from `run` in one line, for rewards or losses that are no numbers.
    """

    def __init__(
        self,
        agent: Agent,
        critic: TwinCritics,
        env: VectorEnv,
        values: SacSettings,
        rngs: Rngs,
        *,
        n_steps: int,
        start_steps: int,
        faithful: bool = False,
        faithful_pairs: bool = False,
    ) -> None:
        self.agent, self.env, self.values, self.rngs = agent, env, values, rngs
        self.n_steps, self.start_steps = n_steps, start_steps
        self.faithful, self.faithful_pairs = faithful, faithful_pairs
        self.sac = Sac(agent, critic, values, rngs, faithful, "update")
        width = agent.context_width
        self.replay = Replay(values.buffer_size, env.n_in, env.n_actions, width, rngs.device)
        self.obs = torch.zeros(env.n_envs, env.n_in, device=rngs.device)
        self.ended = torch.ones(env.n_envs, dtype=torch.bool, device=rngs.device)
        self.totals = torch.zeros(
            env.n_envs, dtype=torch.float64, device=rngs.device
        )  # of running episodes
        self.interactions = self.epochs = self.acted = 0
        self.reached = torch.zeros_like(self.ended)  # a goal, in the running episodes
        self.finished: list[float] = []  # mean return of the episodes that ended, as they came
        self.succeeded: list[float] = []  # the part of them that reached their goal
        self.finished_at: list[int] = []
        self.gained = torch.zeros(1, dtype=torch.float64, device=rngs.device)  # in the stretch since
        self.stretch = 0  # steps of it, in every environment
        self.rewards: list[float] = []  # per step, stretch by stretch
        self.rewards_at: list[int] = []

    def start(self, seed: int) -> None:
        """Begin with new episodes."""
        self.obs = self.env.reset(seed)

    def run(self, watch: Callable[["Training"], None]) -> None:
        """Train to the end; `watch` is called after every epoch."""
        values, rng = self.values, self.rngs.numpy("replay")
        while self.replay.size < min(values.initial_buffer_size, values.buffer_size):
            self.acquire()
        while self.interactions <= self.n_steps:
            self.acquire()
            for _ in range(values.updates_per_epoch):
                self.sac.update(self.replay.sample(values.batch_size, rng))
            self.epochs += 1
            if self.epochs % CHECK_EVERY == 0 and not self.sac.finite():
                raise FloatingPointError(
                    f"epoch {self.epochs}: the critic has diverged (a loss is no number)"
                )
            watch(self)

    @torch.no_grad()
    def acquire(self) -> None:
        """n_timesteps - 1 steps in every environment; every transition goes to the buffer."""
        for _ in range(self.values.n_timesteps - 1):
            context = self.agent.acting_context(self.ended)
            action = self._action(context)
            step = self.env.step(action)
            if not bool(torch.isfinite(step.reward).all()):
                raise FloatingPointError(f"step {self.interactions}: {_what_broke(action)}")
            # The original takes the horizon for an end of the task, so nothing is bootstrapped there.
            terminated = step.ended if self.faithful else step.terminated
            self.replay.push(self.obs, action, context, step.next_obs, step.reward, terminated)
            if self.faithful_pairs and bool(step.ended.any()):
                self._push_reset(step.ended, step.next_obs, step.obs, action, context)
            self._count(step)
            self.obs, self.ended = step.obs, step.ended

    def _action(self, context: Tensor | None) -> Tensor:
        """Actions (n_envs, A): uniform in [-1, 1] at first, then the policy's."""
        n, a = self.env.n_envs, self.env.n_actions
        if self.acted <= self.start_steps:
            return self.rngs.uniform("act", n, a) * 2 - 1
        mu, log_sigma = split(self.agent.explore(self.obs, context))
        return squash(mu, log_sigma, self.rngs.normal("act", n, a))[0]

    def _push_reset(
        self, ended: Tensor, led_to: Tensor, obs: Tensor, action: Tensor, context: Tensor | None
    ) -> None:
        """The original's pair on Continual World: terminal to first observation, reward 0, not an end."""
        none = torch.zeros(int(ended.sum()), device=obs.device)
        held = None if context is None else context[ended]
        self.replay.push(led_to[ended], action[ended], held, obs[ended], none, none)

    def _count(self, step: Step) -> None:
        self.totals += step.reward
        self.reached |= step.success
        self.interactions += self.env.n_envs
        self.acted += 1
        self.gained += step.reward.double().mean()
        self.stretch += 1
        if self.interactions * STRETCHES >= (len(self.rewards) + 1) * self.n_steps:
            self.rewards.append(float(self.gained) / self.stretch)
            self.rewards_at.append(self.interactions)
            self.gained, self.stretch = torch.zeros_like(self.gained), 0
        ended = step.ended
        if bool(ended.any()):
            self.finished.append(float(self.totals[ended].mean()))
            self.succeeded.append(float(self.reached[ended].double().mean()))
            self.finished_at.append(self.interactions)
            self.totals[ended] = 0.0
            self.reached &= ~ended

    def curve(self) -> dict[str, list[Any]]:
        """Returns what happened while training.

        `steps`, `returns`, `success`: when episodes ended, their mean return, the part that reached a goal;
        `reward_steps`, `rewards`: the mean reward per step of each twentieth, and the step at which it ended.
        """
        return {
            "steps": self.finished_at,
            "returns": self.finished,
            "success": self.succeeded,
            "reward_steps": self.rewards_at,
            "rewards": self.rewards,
        }

    def report(self) -> dict[str, float]:
        """Returns what is worth logging now."""
        monitor = {"n_interactions": float(self.interactions), "replay_buffer_size": float(self.replay.size)}
        if self.finished:
            monitor["reward"] = self.finished[-1]
        return {f"monitor/{name}": value for name, value in monitor.items()} | self.sac.report()

    def state(self) -> dict[str, Any]:
        """Returns learner, buffer, environments and counters (agent, critic, generators save themselves)."""
        tensors = {name: getattr(self, name) for name in RUNNING}
        return {
            "sac": self.sac.state(),
            "replay": self.replay.state(),
            "env": self.env.state(),
            **{name: one.cpu().numpy().copy() for name, one in tensors.items()},
            "counts": [self.interactions, self.epochs, self.acted, self.stretch],
            **{name: list(getattr(self, name)) for name in LISTS},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.sac.load(state["sac"])
        self.replay.load(state["replay"])
        self.env.load(state["env"])
        for name in RUNNING:
            setattr(self, name, torch.tensor(state[name], device=self.rngs.device))
        self.interactions, self.epochs, self.acted, self.stretch = (int(one) for one in state["counts"])
        for name in LISTS:
            setattr(self, name, list(state[name]))


def _what_broke(action: Tensor) -> str:
    """Why a reward is no number."""
    if bool(torch.isfinite(action).all()):
        return "the environment's reward is no number"
    return "the policy has diverged (an action is no number)"

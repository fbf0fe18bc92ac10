"""Continual World's tasks on today's Meta-World: a robot arm, one manipulation per task.

The original's `-v1` tasks cannot be installed any more; their names stand for the `-v3` ones, whose
observations (39 numbers, goal included), rewards and physics are others: results are not comparable.
"""

import logging
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clrepro.errors import UsageError
from rewire_repro.scenarios import check_tasks, horizon_of
from rewire_repro.scenarios.vector import Scenario, Step
from rewire_repro.settings import Settings

log = logging.getLogger(__name__)

NAMES = (
    "hammer", "push-wall", "faucet-close", "push-back", "stick-pull", "handle-press-side", "push",
    "shelf-place", "window-close", "peg-unplug-side",
)  # fmt: skip
N_IN, N_ACTIONS = 39, 4
OLD, NEW = "-v1", "-v3"


@cache
def goals(name: str, seed: int) -> tuple[Any, ...]:
    """Returns Meta-World's 50 goals of a task, made from the seed."""
    import metaworld

    return tuple(metaworld.MT1(name, seed=seed).train_tasks)


class MetaWorld:
    """n_envs arms on one task, stepped one after the other; success is Meta-World's own signal.

    Args: name — e.g. "push-v3"; rewards — "v1" or "v2"; everywhere — a new object and goal place at every
    reset
    instead of one of 50; goal_seed — makes the 50.
    """

    n_in, n_actions = N_IN, N_ACTIONS

    def __init__(
        self,
        name: str,
        n_envs: int,
        horizon: int,
        device: torch.device,
        rewards: str,
        everywhere: bool,
        goal_seed: int,
    ) -> None:
        import metaworld

        self.n_envs, self.horizon, self.device, self.everywhere = n_envs, horizon, device, everywhere
        self.goals = goals(name, goal_seed)
        kind = metaworld.ALL_V3_ENVIRONMENTS[name]
        self.envs = [kind(reward_function_version=rewards) for _ in range(n_envs)]
        self.rngs = [np.random.default_rng(0) for _ in range(n_envs)]
        self.begun = [0] * n_envs  # what chose the running episode
        self.actions: list[list[NDArray[np.float64]]] = [[] for _ in range(n_envs)]  # of the running episode

    def reset(self, seed: int) -> Tensor:
        """Start new episodes."""
        self.rngs = [np.random.Generator(np.random.PCG64([seed, i])) for i in range(self.n_envs)]
        return self._tensor(np.stack([self._begin(i, self._draw(i)) for i in range(self.n_envs)]))

    def _draw(self, i: int) -> int:
        return int(self.rngs[i].integers(2**31))

    def _begin(self, i: int, chosen: int) -> NDArray[np.float64]:
        """Start the episode that the number `chosen` stands for; returns its first observation."""
        env = self.envs[i]
        env.set_task(self.goals[chosen % len(self.goals)])
        if self.everywhere:
            env.seeded_rand_vec, env._freeze_rand_vec = True, False  # metaworld has no public switch for this
            env.seed(chosen)
        self.begun[i], self.actions[i] = chosen, []
        return np.asarray(env.reset()[0])

    def step(self, action: Tensor) -> Step:
        """Act in every copy; an episode ends at the horizon only."""
        given = action.detach().cpu().numpy().astype(np.float64)
        led_to, obs, numbers = [], [], []
        for i, env in enumerate(self.envs):
            seen, reward, _, _, info = env.step(given[i])
            self.actions[i].append(given[i])
            over = len(self.actions[i]) >= self.horizon
            led_to.append(seen)
            numbers.append((float(reward), float(over), float(info["success"]), float(info["obj_to_target"])))
            obs.append(self._begin(i, self._draw(i)) if over else seen)
        reward, ended, success, gap = (self._tensor(np.array(one)) for one in zip(*numbers, strict=True))
        never = torch.zeros(self.n_envs, dtype=torch.bool, device=self.device)
        return Step(
            self._tensor(np.stack(obs)),
            self._tensor(np.stack(led_to)),
            reward,
            never,
            ended > 0,
            success > 0,
            gap,
        )

    def _tensor(self, array: NDArray[np.float64]) -> Tensor:
        return torch.tensor(array, dtype=torch.float32, device=self.device)

    def state(self) -> dict[str, Any]:
        """Returns what chose the running episodes and their actions so far, from which `load` gets back
        here; the
        simulator itself keeps more than MuJoCo's own state in Python objects.
        """
        return {
            "begun": self.begun,
            "actions": [np.array(one, np.float64).reshape(-1, N_ACTIONS) for one in self.actions],
            "rngs": [str(rng.bit_generator.state["state"]["state"]) for rng in self.rngs],
            "incs": [str(rng.bit_generator.state["state"]["inc"]) for rng in self.rngs],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned, by living the running episodes again."""
        for i, rng in enumerate(self.rngs):
            inner = {"state": int(state["rngs"][i]), "inc": int(state["incs"][i])}
            rng.bit_generator.state = {
                "bit_generator": "PCG64",
                "state": inner,
                "has_uint32": 0,
                "uinteger": 0,
            }
            self._begin(i, int(state["begun"][i]))
            for action in state["actions"][i]:
                self.envs[i].step(action)
                self.actions[i].append(action)


def continual_world_scenario(settings: Settings, device: torch.device) -> Scenario:
    """Returns a triplet or cw10.  Raises: UsageError for an unknown task, reward version or randomization."""
    one = settings.scenario
    check_tasks(settings, [name + end for name in NAMES for end in (OLD, NEW)])
    if one.reward_version not in ("v1", "v2"):
        raise UsageError(f"scenario.reward_version={one.reward_version}: v1 or v2")
    if one.randomization not in ("mt1_50", "random_init_all"):
        raise UsageError(f"scenario.randomization={one.randomization}: mt1_50 or random_init_all")
    from importlib.metadata import version

    if any(name.endswith(OLD) for name in one.tasks):
        log.info("-v1 tasks are run as Meta-World's -v3 ones: other physics, rewards and observations")

    def make(name: str) -> MetaWorld:
        current = name.removesuffix(OLD).removesuffix(NEW) + NEW
        everywhere = one.randomization == "random_init_all"
        return MetaWorld(
            current,
            one.n_train_envs,
            horizon_of(settings),
            device,
            one.reward_version,
            everywhere,
            settings.seed,
        )

    return Scenario(
        *(f"{one.domain}/{one.name}", one.sequence, N_IN, N_ACTIONS, one.n_steps, make),
        f"metaworld/{version('metaworld')}, rewards {one.reward_version}, {one.randomization}",
        "the maintained successor of the simulator that Continual World was built on",
    )

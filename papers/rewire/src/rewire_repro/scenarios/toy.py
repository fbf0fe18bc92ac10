"""A point mass in the plane, for tests and continuous integration: no simulator, learnable in seconds."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rewire_repro.scenarios.vector import Step

DT = 0.2
ACTION_COST = 0.01


@dataclass(frozen=True)
class Law:
    """Force per action, drag, and where to go; the goal is not observed."""

    gain: float = 1.0
    drag: float = 0.5
    goal: tuple[float, float] = (0.0, 0.0)


TASKS = {
    "plain": Law(),
    "heavy_drag": Law(drag=2.0),
    "far_target": Law(goal=(0.8, -0.8)),
    "strong_gain": Law(gain=2.0),
    "inverted": Law(gain=-1.0),
}


class PointMass:
    """v += dt (gain a - drag v), x += dt v; reward -|x - goal|² - 0.01 |a|²; never terminates.

    Observations (x, v), float32 (n, 4); actions (n, 2).
    """

    n_in, n_actions = 4, 2

    def __init__(self, task: str, n_envs: int, horizon: int, device: torch.device) -> None:
        self.law, self.n_envs, self.horizon, self.device = TASKS[task], n_envs, horizon, device
        self.goal = torch.tensor(self.law.goal, device=device)
        self.rng = torch.Generator(device)
        self.x = torch.zeros(n_envs, 4, device=device)
        self.steps = 0

    def reset(self, seed: int) -> Tensor:
        """Start anywhere in [-1, 1]², at rest; all copies in step with each other."""
        self.rng.manual_seed(seed)
        return self._start()

    def _start(self) -> Tensor:
        place = torch.rand(self.n_envs, 2, generator=self.rng, device=self.device) * 2 - 1
        self.x, self.steps = torch.cat([place, torch.zeros_like(place)], dim=1), 0
        return self.x.clone()

    def step(self, action: Tensor) -> Step:
        """Move every mass."""
        law, (place, speed) = self.law, torch.split(self.x, 2, dim=1)
        speed = speed + DT * (law.gain * action - law.drag * speed)
        place = place + DT * speed
        self.x, self.steps = torch.cat([place, speed], dim=1), self.steps + 1
        gap = (place - self.goal).square().sum(1)
        reward = -gap - ACTION_COST * action.square().sum(1)
        led_to, never = self.x.clone(), torch.zeros(self.n_envs, dtype=torch.bool, device=self.device)
        truncated = ~never if self.steps >= self.horizon else never
        obs = self._start() if self.steps >= self.horizon else led_to.clone()
        return Step(obs, led_to, reward, never, truncated, gap < 0.01, gap.sqrt())

    def state(self) -> dict[str, Any]:
        """Returns positions, speeds, the clock and the generator."""
        return {
            "x": self.x.cpu().numpy().copy(),
            "steps": self.steps,
            "rng": self.rng.get_state().numpy().copy(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.x = torch.tensor(state["x"], device=self.device)
        self.steps = int(state["steps"])
        self.rng.set_state(torch.tensor(state["rng"]))

"""Scenarios by the domain that the configuration names; each simulator is imported only when it is used."""

import torch

from clrepro.errors import UsageError
from rewire_repro.scenarios.vector import Scenario as Scenario
from rewire_repro.scenarios.vector import Step as Step
from rewire_repro.scenarios.vector import Task as Task
from rewire_repro.scenarios.vector import VectorEnv as VectorEnv
from rewire_repro.settings import Settings


def make_scenario(settings: Settings, device: torch.device) -> Scenario:
    """Returns the scenario of a run.

    Raises: UsageError for an unknown task, listing the domain's; ModuleNotFoundError if its simulator is
    absent.
    """
    if settings.scenario.classname == "scenarios.Brax":
        from rewire_repro.scenarios.brax import brax_scenario

        return brax_scenario(settings, device)
    if settings.scenario.classname == "scenarios.ContinualWorld":
        from rewire_repro.scenarios.continual_world import continual_world_scenario

        return continual_world_scenario(settings, device)
    return _toy(settings, device)


WIDTHS = {
    "halfcheetah": (17, 6),
    "ant": (27, 8),
    "humanoid": (244, 17),
    "continual_world": (39, 4),
    "toy": (4, 2),
}


def without_simulator(settings: Settings, device: torch.device) -> Scenario:
    """Returns a scenario with the right widths and no environments, to compose and build agents for."""
    one = settings.scenario
    n_in, n_actions = WIDTHS[one.domain]

    def make(name: str) -> VectorEnv:
        raise UsageError(f"{name}: a dry run has no environments")

    return Scenario(
        f"{one.domain}/{one.name}", one.sequence, n_in, n_actions, one.n_steps, make, "none", "a dry run"
    )


def horizon_of(settings: Settings) -> int:
    """Returns the length of an episode: the scenario's horizon, or the algorithm's time_limit if that is
    set.
    """
    return settings.sac.time_limit or settings.scenario.horizon


def check_tasks(settings: Settings, known: list[str]) -> None:
    """Raises: UsageError naming the first unknown task and listing the known ones."""
    for name in settings.scenario.tasks:
        if name not in known:
            raise UsageError(
                f"scenario.tasks: no task {name!r} in {settings.scenario.domain}; "
                f"there are {', '.join(known)}"
            )


def _toy(settings: Settings, device: torch.device) -> Scenario:
    from rewire_repro.scenarios.toy import TASKS, PointMass

    one = settings.scenario
    check_tasks(settings, list(TASKS))
    return Scenario(
        f"{one.domain}/{one.name}",
        one.sequence,
        PointMass.n_in,
        PointMass.n_actions,
        one.n_steps,
        lambda name: PointMass(name, one.n_train_envs, horizon_of(settings), device),
        "torch",
        "a point mass needs no simulator",
    )

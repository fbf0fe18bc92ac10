"""The nine methods' policies by the class names of the configuration, and how one is made."""

from collections.abc import Mapping
from typing import Any

from clrepro.errors import UsageError
from rewire_repro.agents.agent import Agent as Agent
from rewire_repro.agents.agent import Shape as Shape
from rewire_repro.agents.ewc import EWCActionAgent
from rewire_repro.agents.l2 import L2ActionAgent
from rewire_repro.agents.packnet import PacknetActionAgent
from rewire_repro.agents.per_task import FromScratchActionAgent, MultiActionAgent
from rewire_repro.agents.pnn import PNNActionAgent
from rewire_repro.agents.rewire import RewireActionAgent
from rewire_repro.agents.single import ActionAgent
from rewire_repro.agents.subspace import SubspaceActionAgent
from rewire_repro.rng import Rngs
from rewire_repro.settings import fill

AGENTS: dict[str, type[Agent]] = {
    one.__name__: one
    for one in (
        RewireActionAgent, ActionAgent, FromScratchActionAgent, MultiActionAgent, L2ActionAgent,
        EWCActionAgent, PNNActionAgent, PacknetActionAgent, SubspaceActionAgent,
    )
}  # fmt: skip
WHERE = "framework.params.policy_agent"


def make_agent(
    name: str, node: Mapping[str, Any], shape: Shape, rngs: Rngs, faithful: bool = False
) -> Agent:
    """Returns the policy of that class.

    Args: node — its configuration keys.
    Raises: UsageError for an unknown class, key or value, and for widths that are not the scenario's.
    """
    if name not in AGENTS:
        raise UsageError(f"{WHERE}.classname=agents.{name}: one of {', '.join(AGENTS)}")
    values: Any = fill(AGENTS[name].Values, node, WHERE)
    for key, width in (("input_dimension", shape.n_in), ("output_dimension", shape.n_actions)):
        given = getattr(values, key)
        if given is not None and given != width:
            raise UsageError(f"{WHERE}.{key}={given}: the scenario has {width}")
    return AGENTS[name](values, shape, rngs, faithful)

"""Brax environments whose tasks are arguments of one compiled step.

The system's gravity, friction, radii and masses, the actions' gain and the observations' mask are traced, so
changing the task compiles nothing.  Stepping, the horizon and the reset of ended episodes to the episode's
own
first state are one program; the observation before that reset comes out too.
"""

import copy
import logging
import time
import warnings
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clrepro.errors import UsageError
from rewire_repro.scenarios import check_tasks, horizon_of
from rewire_repro.scenarios.bridge import to_jax, to_torch
from rewire_repro.scenarios.physics import CHANGES, Model, Physics, physics_of
from rewire_repro.scenarios.vector import Scenario, Step
from rewire_repro.settings import Settings

BACKENDS = ("spring", "positional", "generalized", "mjx")
BAKED = ("spring", "positional")  # where masses act through an exponent that the stock ant sets to nothing
OPTIONS = {"humanoid": {"healthy_z_range": (0.8, 2.1)}}  # the original's


def choose_backend(asked: str, domain: str, cuda: bool) -> tuple[str, str]:
    """Returns (back end, why)."""
    if asked != "auto":
        if asked not in BACKENDS:
            raise UsageError(f"scenario.backend={asked}: auto, {', '.join(BACKENDS)}")
        return asked, "asked for"
    if cuda:
        return "positional", "auto: on a GPU, the one nearest to the original's position-based engine"
    if domain == "ant":
        return (
            "generalized",
            "auto: on a CPU, ant's masses and contacts act as modelled, at a third of spring's speed",
        )
    return "spring", "auto: on a CPU, two to three times as fast as positional and generalized"


class Domain:
    """One Brax environment, compiled once for all its tasks.

    Args: n_envs — copies stepped together; horizon — steps of an episode; device — where JAX computes.
    """

    def __init__(self, name: str, backend: str, n_envs: int, horizon: int, device: Any) -> None:
        import jax
        from brax import envs

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # brax says once that it is no longer maintained
            self.env = envs.get_environment(name, backend=backend, **OPTIONS.get(name, {}))
        self.name, self.backend, self.n_envs, self.device = name, backend, n_envs, device
        self.horizon = horizon
        if backend in BAKED:
            self.env.sys = baked(self.env.sys)
        self.n_actions = int(self.env.action_size)
        self.n_in = int(jax.eval_shape(self.env.reset, jax.random.PRNGKey(0)).obs.shape[-1])
        self.model = model_of(self.env.sys, self.n_actions, self.n_in)
        self.reset = jax.jit(self._reset)
        self.step = jax.jit(self._step)
        self.compile_s = 0.0

    def compilations(self) -> int:
        """Returns how many programs were compiled for the step."""
        return int(self.step._cache_size())

    def timed(self, function: Any, *args: Any) -> Any:
        """Call a compiled function; what the first call takes longer counts as compiling."""
        size, started = function._cache_size(), time.perf_counter()
        out = function(*args)
        if function._cache_size() > size:
            self.compile_s += time.perf_counter() - started
        return out

    def _with(self, physics: dict[str, Any]) -> Any:
        """The environment with the traced system of a task."""
        env, sys = copy.copy(self.env), self.env.sys
        friction = sys.geom_friction.at[:, 0].set(physics["friction"])
        changes = {
            "gravity": physics["gravity"],
            "opt.gravity": physics["gravity"],  # what mjx reads; the other back ends read the field above
            "geom_friction": friction,
            "geom_size": sys.geom_size.at[:, 0].set(physics["radius"]),
            "link.inertia.mass": physics["mass"],
            "body_mass": sys.body_mass.at[1:].set(physics["mass"]),  # mjx; body 0 is the world
        }
        env.sys = sys.tree_replace(changes)
        return env

    def _reset(self, physics: dict[str, Any], key: Any) -> dict[str, Any]:
        import jax
        import jax.numpy as jnp

        state = jax.vmap(self._with(physics).reset)(jax.random.split(key, self.n_envs))
        steps = jnp.zeros(self.n_envs, jnp.int32)
        carry = {"state": state, "first": state.pipeline_state, "first_obs": state.obs, "steps": steps}
        return settled(carry)

    def _step(
        self, physics: dict[str, Any], carry: dict[str, Any], action: Any, horizon: Any
    ) -> tuple[dict[str, Any], Any]:
        import jax
        import jax.numpy as jnp

        env = self._with(physics)
        new = jax.vmap(env.step)(carry["state"], action * physics["gain"])
        steps = carry["steps"] + 1
        terminated = new.done > 0.5
        truncated = (steps >= horizon) & ~terminated
        ended = terminated | truncated

        def restart(first: Any, now: Any) -> Any:
            if now.shape[:1] != ended.shape:  # mjx has leaves without a row per environment
                return now
            return jnp.where(ended.reshape(-1, *[1] * (now.ndim - 1)), first, now)

        state = new.replace(
            pipeline_state=jax.tree.map(restart, carry["first"], new.pipeline_state),
            obs=restart(carry["first_obs"], new.obs),
            done=jnp.zeros_like(new.done),
        )
        out = (state.obs * physics["mask"], new.obs * physics["mask"], new.reward, terminated, truncated)
        return settled({**carry, "state": state, "steps": jnp.where(ended, 0, steps)}), out


def settled(carry: dict[str, Any]) -> dict[str, Any]:
    """Returns the carry with float32 where it has floats and int32 where it has integers, none of it
    weakly typed:
    what reset and step return must be of one type, or the step compiles twice.
    """
    import jax
    import jax.numpy as jnp

    def fix(leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            return jax.lax.convert_element_type(leaf, np.dtype(np.float32))
        if jnp.issubdtype(leaf.dtype, jnp.integer):
            return jax.lax.convert_element_type(leaf, np.dtype(np.int32))
        return leaf

    return {key: jax.tree.map(fix, value) for key, value in carry.items()}


def baked(sys: Any) -> Any:
    """Returns the system with effective masses and inertias in place of scaled ones.

    spring and positional compute with m^(1 - mass scale), I^(1 - inertia scale); at a scale of 1 (ant)
    every mass
    is 1 and a factor on it does nothing.  Here the effective values are written in and the scales are 0.
    """
    import jax
    import jax.numpy as jnp

    inertia = sys.link.inertia
    diagonal = jnp.diagonal(inertia.i, axis1=-2, axis2=-1) ** (1 - sys.spring_inertia_scale)
    return sys.tree_replace(
        {
            "link.inertia.mass": inertia.mass ** (1 - sys.spring_mass_scale),
            "link.inertia.i": jax.vmap(jnp.diag)(diagonal),
        }
    ).replace(spring_mass_scale=0.0, spring_inertia_scale=0.0)


def model_of(sys: Any, n_actions: int, n_in: int) -> Model:
    """Returns names and stock values of a system."""
    import mujoco

    mj = sys.mj_model
    geoms = tuple(mujoco.mj_id2name(mj, mujoco.mjtObj.mjOBJ_GEOM, i) or f"geom {i}" for i in range(mj.ngeom))
    joints = [mj.actuator_trnid[i, 0] for i in range(mj.nu)]
    names = tuple(mujoco.mj_id2name(mj, mujoco.mjtObj.mjOBJ_JOINT, int(j)) for j in joints)
    links = tuple(name or f"link {i}" for i, name in enumerate(sys.link_names))
    numbers = (sys.gravity, sys.geom_friction[:, 0], sys.geom_size[:, 0], sys.link.inertia.mass)
    stock = [np.array(one, np.float32) for one in numbers]
    ones = np.ones(n_actions, np.float32), np.ones(n_in, np.float32)
    return Model(links, geoms, names, Physics(stock[0], stock[1], stock[2], stock[3], *ones))


class BraxEnv:
    """n_envs copies of one task; all tasks of a domain share its compiled programs."""

    def __init__(self, domain: Domain, physics: Physics, device: torch.device) -> None:
        import jax

        self.domain, self.device = domain, device
        self.n_envs, self.n_in, self.n_actions = domain.n_envs, domain.n_in, domain.n_actions
        self.horizon = domain.horizon
        self.physics = jax.device_put(asdict(physics), domain.device)
        self.carry: Any = None

    def reset(self, seed: int) -> Tensor:
        """Start new episodes; returns observations (n_envs, n_in)."""
        import jax

        key = jax.device_put(jax.random.PRNGKey(seed), self.domain.device)
        self.carry = self.domain.timed(self.domain.reset, self.physics, key)
        return to_torch(self.carry["first_obs"] * self.physics["mask"], self.device)

    def step(self, action: Tensor) -> Step:
        """Act in every copy."""
        given = to_jax(action, self.domain.device)
        self.carry, out = self.domain.timed(
            self.domain.step, self.physics, self.carry, given, np.int32(self.horizon)
        )
        obs, led_to, reward, terminated, truncated = (to_torch(one, self.device) for one in out)
        return Step(obs, led_to, reward, terminated, truncated, torch.zeros_like(terminated))

    def state(self) -> dict[str, Any]:
        """Returns the simulator's state, leaf by leaf."""
        import jax

        return {"leaves": [np.array(leaf) for leaf in jax.tree.leaves(self.carry)]}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        import jax

        if self.carry is None:
            self.reset(0)  # for the shape of the tree
        leaves = [jax.device_put(leaf, self.domain.device) for leaf in state["leaves"]]
        self.carry = jax.tree.unflatten(jax.tree.structure(self.carry), leaves)


def use_compilation_cache() -> None:
    """Let JAX keep compiled programs between processes; a program takes 10 to 80 seconds to compile."""
    import jax
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("cl-repro")) / "jax"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def brax_scenario(settings: Settings, device: torch.device) -> Scenario:
    """Returns the scenario of a Brax domain.  Raises: UsageError for an unknown task, back end or friction
    rule.
    """
    one = settings.scenario
    check_tasks(settings, list(CHANGES.get(one.domain, {})))
    if one.friction_rule not in ("product", "linear"):
        raise UsageError(f"scenario.friction_rule={one.friction_rule}: product or linear")
    import jax

    logging.getLogger("jax").setLevel(logging.WARNING)  # it reports every accelerator that is not there
    use_compilation_cache()
    backend, reason = choose_backend(one.backend, one.domain, device.type == "cuda")
    where = jax.devices("gpu" if device.type == "cuda" and jax.default_backend() == "gpu" else "cpu")[0]
    with jax.default_device(where):
        domain = Domain(one.domain, backend, one.n_train_envs, horizon_of(settings), where)

    def make(name: str) -> BraxEnv:
        return BraxEnv(domain, physics_of(domain.model, CHANGES[one.domain][name], one.friction_rule), device)

    return Scenario(
        f"{one.domain}/{one.name}",
        one.sequence,
        domain.n_in,
        domain.n_actions,
        one.n_steps,
        partial(make),
        f"brax/{backend}",
        reason,
        lambda: domain.compile_s,
    )

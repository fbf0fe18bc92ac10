"""Speed benchmarks of RewireNeuron: one SAC update, acting with a rewired policy, stepping Brax through our
agent.
"""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from clrepro.bench import Benchmark, Scaling
from rewire_repro import config
from rewire_repro.agents import Shape, make_agent
from rewire_repro.agents.rewire import RewireActionAgent
from rewire_repro.networks import Net, TwinCritics, sizes
from rewire_repro.peer_sac import EagerSac
from rewire_repro.replay import Replay
from rewire_repro.rng import Rngs
from rewire_repro.sac import Sac

CPU = torch.device("cpu")
N_IN, N_ACTIONS = 17, 6  # halfcheetah
TURNS = 81  # short ones, so that what else the machine does meets both sides


def benchmarks() -> Iterator[Benchmark]:
    """Yields the speed rows promised for RewireNeuron; the last one only where brax is installed."""
    torch.set_num_threads(1)
    for profile, hidden, batch in (("quick", 64, 128), ("full", 256, 256)):
        yield one_update(profile, hidden, batch)
    yield rewired_acting()
    if importlib.util.find_spec("brax") is not None:
        yield brax_steps()


def learners(profile: str, hidden: int, batch: int) -> tuple[Sac, EagerSac, Replay]:
    """Returns ft_1 on halfcheetah's widths, ours and the straightforward one, and a filled buffer."""
    settings = config.settings(config.compose("ft_1", [f"profile={profile}"]))
    rngs = Rngs(0, CPU)
    policy = {**settings.policy, "hidden_size": hidden}
    agent = make_agent("ActionAgent", policy, Shape(N_IN, N_ACTIONS, 4), rngs)
    critic = TwinCritics(N_IN + N_ACTIONS, hidden, rngs.generator("init"))
    ours = Sac(agent, critic, settings.sac, rngs, False, "update")
    theirs = EagerSac(N_IN, N_ACTIONS, hidden, settings.sac)
    replay = Replay(10_000, N_IN, N_ACTIONS, 0, CPU)
    x = torch.randn(10_000, N_IN)
    replay.push(x, torch.rand(10_000, N_ACTIONS), None, x, torch.randn(10_000), torch.zeros(10_000))
    return ours, theirs, replay


def one_update(profile: str, hidden: int, batch: int) -> Benchmark:
    """An update of ft_1 on halfcheetah's widths."""
    ours, theirs, replay = learners(profile, hidden, batch)
    rng = np.random.default_rng(0)

    def work(learner: Any) -> Callable[[], int]:
        def run() -> int:
            for _ in range(4):
                learner.update(replay.sample(batch, rng))
            return 4

        return run

    sides = {"ours": work(ours), "eager torch": work(theirs)}
    name = f"one SAC update, hidden {hidden}, batch {batch}"
    words, promised = "≥ 1.5× a straightforward eager loop", {"eager torch": 1.5}
    return Benchmark(name, "update", sides, words, TURNS, promised)


def rewired_acting() -> Benchmark:
    """Actions of a rewired policy, its permutations folded into the weights, against a plain network's."""
    values = {"hidden_size": 256, "start_steps": 0, "layer_norm": False, "beta": 0.1, "cycle": 4}
    rngs = Rngs(0, CPU)
    agent = make_agent("RewireActionAgent", values, Shape(N_IN, N_ACTIONS, 4), rngs)
    assert isinstance(agent, RewireActionAgent)
    agent.set_task(None)
    agent.consolidate()
    agent.set_task(-1)
    rewired = agent.actor(0)
    plain = Net.make(sizes(N_IN, 256, 2 * N_ACTIONS), rngs.generator("init"))
    obs = torch.randn(128, N_IN)

    @torch.no_grad()
    def run(act: Any) -> int:
        for _ in range(10):
            act(obs)
        return 10

    sides = {"rewired, folded": lambda: run(rewired), "plain network": lambda: run(plain)}
    words, promised = "at most 1.5 times a plain network's time", {"plain network": 1 / 1.5}
    return Benchmark("acting, 128 rows, hidden 256", "call", sides, words, TURNS, promised)


def brax_steps() -> Benchmark:
    """128 halfcheetahs (spring), actions as torch tensors, against brax's own jitted training environment."""
    words, promised = "≥ 0.9× raw jitted brax", {"raw jitted brax": 0.9}
    sides = {"ours": through_us(128), "raw jitted brax": directly(128)}
    return Benchmark("stepping 128 halfcheetahs (spring)", "environment step", sides, words, TURNS, promised)


def scalings() -> Iterator[Scaling]:
    """Yields how the cost of an environment's step falls with their number."""
    if importlib.util.find_spec("brax") is not None:
        sides = {"ours": through_us, "raw jitted brax": directly}
        sizes = (8, 32, 128, 512)
        yield Scaling("stepping halfcheetahs (spring)", "environments", "environment step", sizes, sides)


def through_us(n: int) -> Callable[[], int]:
    """Returns a function that takes two steps of `n` environments as our training does."""
    import jax

    from rewire_repro.scenarios.brax import BraxEnv, Domain, use_compilation_cache
    from rewire_repro.scenarios.physics import CHANGES, physics_of

    use_compilation_cache()
    domain = Domain("halfcheetah", "spring", n, 1000, jax.devices("cpu")[0])
    ours = BraxEnv(domain, physics_of(domain.model, CHANGES["halfcheetah"]["moon"], "product"), CPU)
    ours.reset(0)
    action = torch.rand(n, N_ACTIONS) * 2 - 1

    def work() -> int:
        for _ in range(2):
            ours.step(action)
        return 2 * n

    return work


def directly(n: int) -> Callable[[], int]:
    """Returns a function that takes two steps of `n` environments with brax's own wrappers."""
    import jax
    from brax import envs

    from rewire_repro.scenarios.brax import use_compilation_cache

    use_compilation_cache()
    raw = envs.training.wrap(envs.get_environment("halfcheetah", backend="spring"), episode_length=1000)
    reset, step = jax.jit(raw.reset), jax.jit(raw.step)
    held = {"state": reset(jax.random.split(jax.random.PRNGKey(0), n))}
    action = jax.numpy.asarray((torch.rand(n, N_ACTIONS) * 2 - 1).numpy())

    def work() -> int:
        for _ in range(2):
            held["state"] = step(held["state"], action)
            held["state"].obs.block_until_ready()
        return 2 * n

    return work

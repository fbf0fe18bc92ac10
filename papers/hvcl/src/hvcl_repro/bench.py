"""Speed benchmarks of HVCL: an update of the agent, replay, environments, a layer's step, others' SAC."""

import atexit
import contextlib
import importlib
import importlib.util
import multiprocessing
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from clrepro.adapters.tf import configure
from clrepro.bench import Benchmark, Scaling
from clrepro.bench.benchmark import use_cores

N_ENVS, STEPS = 50, 20
CAPACITY, BATCH, WIDTH = 1_000_000, 256, 64


def benchmarks() -> Iterator[Benchmark]:
    """Yields the speed rows promised for HVCL."""
    configure(deterministic=False, accelerators=True)
    yield from replay()
    yield agent_update()
    yield supervised_step()
    yield environments()
    if importlib.util.find_spec("stable_baselines3") is not None:
        yield whole_agents()


def scalings() -> Iterator[Scaling]:
    """Yields how the cost of a step grows with the environments."""
    sides = {
        "two workers": lambda n: stepping(n, 2),
        "one process": lambda n: stepping(n, 0),
    }
    use_cores(2)
    yield Scaling("stepping HalfCheetahBullet", "environments", "step", (2, 10, 25, 50), sides, cores=2)


def agent_update() -> Benchmark:
    """Updates of MoVE networks, four experts, batch 256, hidden 64: one compiled call against eager ones."""
    import tensorflow as tf

    from clrepro.seeding import Seeds
    from hvcl_repro.rl.sac import SAC
    from hvcl_repro.rl.settings import RLSettings

    agent = SAC(RLSettings(hvcl=True, method="hvcl", n_exp=4, hidden_u=64), Seeds(0))
    agent.begin_task(0, 6)
    rng, n = np.random.default_rng(0), 5
    shapes = ((28,), (8,), (), (28,), (), ())
    rows = [tf.constant(rng.uniform(-0.9, 0.9, (n, BATCH, *shape)), tf.float32) for shape in shapes]

    def compiled() -> int:
        agent._block(*rows)
        return n

    def eager() -> int:
        agent.run_block(*(row[:1] for row in rows))
        return 1

    sides = {"compiled": compiled, "eager": eager}
    name, promised = "one SAC update, MoVE with 4 experts", {"eager": 3.0}
    return Benchmark(name, "update", sides, "≥ 3× eager", rounds=5, promised=promised)


def replay() -> Iterator[Benchmark]:
    """Storing 5000 transitions of 28 + 8 numbers in a full buffer of a million, and drawing 50 batches."""
    from hvcl_repro.rl.experience import ExperienceBuffer

    buffer = ExperienceBuffer({"size": CAPACITY, "largest_obs_dim": 28, "largest_act_dim": 8, "seed": 0})
    rng, n = np.random.default_rng(0), 5000
    rows = [rng.normal(size=(n, *shape)).astype(np.float32) for shape in ((28,), (8,), (), (28,))]
    while buffer.n_entries < CAPACITY:
        buffer.extend(rows[0], rows[1], rows[2], rows[3], np.zeros(n))

    def add() -> int:
        buffer.extend(rows[0], rows[1], rows[2], rows[3], np.zeros(n))
        return n

    def sample() -> int:
        _, _, slots = buffer.select(0.5, 50 * BATCH)
        buffer.update_priority(slots, np.ones(len(slots)))
        return len(slots)

    stored = buffer.state()
    arrays = [
        *stored["columns"].values(),
        *(v for v in stored["policy"].values() if isinstance(v, np.ndarray)),
    ]
    full = f"a full replay of 1,000,000, {sum(v.nbytes for v in arrays) / 1e9:.2f} GB"
    yield Benchmark(f"storing in {full}", "transition", {"ours": add}, "≤ 5 µs, ≤ 0.5 GB", rounds=7)
    yield Benchmark(f"drawing from {full}, and updating", "transition", {"ours": sample}, "≤ 10 µs", rounds=7)


def supervised_step() -> Benchmark:
    """A training step of 784-256-256-10 with four experts, batch 128: cheap noise against Flipout's."""
    import tensorflow as tf

    from clrepro.seeding import Seeds
    from hvcl_repro.supervised.build import make
    from hvcl_repro.supervised.passes import Passes
    from hvcl_repro.supervised.settings import SupervisedSettings

    rng, n = np.random.default_rng(0), 1280
    x = tf.constant(rng.integers(0, 256, (n, 784)), tf.uint8)
    y = tf.constant(rng.integers(0, 2, n), tf.int64)
    sides: dict[str, Callable[[], int]] = {}
    for noise in ("local", "flipout"):
        settings = SupervisedSettings(noise=noise)
        passes = Passes(make(settings, (28, 28), 2, 1, Seeds(0)), 128)
        passes.method.begin_task(0, n)

        def work(passes: Any = passes) -> int:
            passes.train(x, y, np.arange(n), 0)
            return n // 128

        sides[noise] = work
    return Benchmark("one step of 784-256-256-2 with 4 experts", "step", sides, "", rounds=5)


def environments() -> Benchmark:
    """Fifty HalfCheetahs stepped over two workers and in one process; also by two programs that never wait
    for each other, which is all that the machine can do.
    """
    use_cores(2)  # before the workers start
    sides = {
        "two workers": stepping(N_ENVS, 2), "one process": stepping(N_ENVS, 0),
        "two programs that never meet": apart(N_ENVS),
    }  # fmt: skip
    name, words = f"a step of {N_ENVS} HalfCheetahBullet", "≥ 1.8× one process on 2 cores"
    return Benchmark(name, "step", sides, words, rounds=15, promised={"one process": 1.8}, cores=2)


def stepping(n: int, workers: int, at_end: Callable[..., Any] = atexit.register) -> Callable[[], int]:
    """Returns a function that takes a few steps in each of `n` HalfCheetahs; `at_end` hears how to close."""
    from hvcl_repro.rl.parallel import make_mp_envs

    envs = make_mp_envs("HalfCheetahPyBulletEnv-v0", n, num_workers=workers)
    at_end(envs.close)
    envs.reset()
    rng = np.random.default_rng(0)

    def work() -> int:
        for _ in range(STEPS):
            envs.step(rng.uniform(-1, 1, (n, 6)))
        return STEPS * n

    return work


def apart(n: int) -> Callable[[], int]:
    """Returns a function that has two programs take the same steps, each with half of the environments."""
    context = multiprocessing.get_context("spawn")
    pipes = []
    for _ in range(2):
        mine, its = context.Pipe()
        context.Process(target=_alone, args=(its, n // 2)).start()
        its.close()
        atexit.register(mine.close)
        pipes.append(mine)

    def work() -> int:
        for pipe in pipes:
            pipe.send(None)
        return sum(pipe.recv() for pipe in pipes)

    return work


def _alone(pipe: Any, n: int) -> None:
    """Step `n` environments each time the pipe says so, until it closes."""
    with contextlib.ExitStack() as ending, contextlib.suppress(EOFError):
        work = stepping(n, 0, ending.callback)
        while True:
            pipe.recv()
            pipe.send(work())


def whole_agents() -> Benchmark:
    """Plain SAC on HalfCheetahBullet, eight environments in one process, one update of 256 per step: ours,
    and Stable-Baselines3's with as many layers and units.
    """
    from clrepro.envs import VectorEnv
    from clrepro.seeding import Seeds
    from hvcl_repro.rl.environments import ACT_DIM, OBS_DIM, maker
    from hvcl_repro.rl.settings import RLSettings
    from hvcl_repro.rl.train import Loop

    n, steps = 8, 100
    make = maker("HalfCheetahPyBulletEnv-v0")
    settings = RLSettings(
        n_exp=1, hidden_u=WIDTH, train_interval=n * steps, updates=n * steps, replay_start_size=0,
        buffer_size=100_000,
    )  # fmt: skip
    loop = Loop(settings, Seeds(0), None, 0, 0)
    loop.sac.begin_task(0, 6)
    envs = VectorEnv([make] * n, OBS_DIM, ACT_DIM, list(range(n)), 0)
    atexit.register(envs.close)
    seen = [envs.reset()]

    def ours() -> int:
        seen[0] = loop._collect(envs, seen[0])
        loop._learn()
        return n * steps

    model = _stable_baselines(make, n, steps)

    def theirs() -> int:
        model.learn(total_timesteps=n * steps, reset_num_timesteps=False)
        return n * steps

    sides = {"ours": ours, "Stable-Baselines3": theirs}
    name, promised = "a step of plain SAC on HalfCheetahBullet", {"Stable-Baselines3": 1.0}
    return Benchmark(name, "environment step", sides, "≥ 1×", rounds=3, promised=promised)


def _stable_baselines(make: Callable[[], Any], n: int, steps: int) -> Any:
    import gymnasium
    import torch

    # Not among this project's packages, so not among those that a type checker can know.
    sb3 = importlib.import_module("stable_baselines3")
    vectors = importlib.import_module("stable_baselines3.common.vec_env")

    class Cheetah(gymnasium.Env):
        """Our environment with the class that they ask for."""

        def __init__(self) -> None:
            self.inner = make()
            self.observation_space, self.action_space = self.inner.observation_space, self.inner.action_space

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            return self.inner.reset(seed=seed)

        def step(self, action: Any) -> Any:
            return self.inner.step(action)

    torch.set_num_threads(1)
    return sb3.SAC(
        "MlpPolicy", vectors.DummyVecEnv([Cheetah] * n), batch_size=BATCH, buffer_size=100_000,
        learning_starts=0,
        train_freq=steps, gradient_steps=n * steps, policy_kwargs={"net_arch": [WIDTH] * 4}, device="cpu",
        seed=0,
    )  # fmt: skip

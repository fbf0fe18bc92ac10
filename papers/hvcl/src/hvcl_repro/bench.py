"""Speed contests of HVCL: an update of the agent, the replay, the environments, a layer's step."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from clrepro.bench import Contest
from hvcl_repro.tensorflow_threads import one_thread, quiet

N_ENVS, STEPS = 50, 20
CAPACITY, BATCH = 1_000_000, 256


def contests() -> Iterator[Contest]:
    """Yields the speed rows promised for HVCL."""
    quiet()
    one_thread()
    yield replay()
    yield agent_update()
    yield supervised_step()
    yield environments()


def agent_update() -> Contest:
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
    return Contest("one SAC update, MoVE with 4 experts", "update", sides, "≥ 3× eager", rounds=5)


def replay() -> Contest:
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

    sides: dict[str, Callable[[], int]] = {"add": add, "draw and update": sample}
    return Contest(
        "a transition in a full replay of 1,000,000",
        "transition",
        sides,
        "≤ 5 µs to add, ≤ 10 µs to draw",
        rounds=7,
    )


def supervised_step() -> Contest:
    """A training step of 784-256-256-10 with four experts, batch 128: cheap noise against Flipout's."""
    import tensorflow as tf

    from clrepro.seeding import Seeds
    from hvcl_repro.supervised.learner import Learner
    from hvcl_repro.supervised.settings import SupervisedSettings

    rng, n = np.random.default_rng(0), 1280
    x = tf.constant(rng.integers(0, 256, (n, 784)), tf.uint8)
    y = tf.constant(rng.integers(0, 2, n), tf.int64)
    sides: dict[str, Callable[[], int]] = {}
    for noise in ("local", "flipout"):
        learner = Learner(SupervisedSettings(noise=noise), (28, 28), 2, Seeds(0))
        learner.begin(n)

        def work(learner: Any = learner) -> int:
            learner.epoch(x, y, np.arange(n))
            return n // 128

        sides[noise] = work
    return Contest("one step of 784-256-256-2 with 4 experts", "step", sides, "", rounds=5)


def environments() -> Contest:
    """Fifty HalfCheetahs stepped over two workers and in one process."""
    from hvcl_repro.rl.parallel import make_mp_envs

    sides: dict[str, Callable[[], int]] = {}
    for name, workers in (("two workers", 2), ("one process", 0)):
        envs = make_mp_envs("HalfCheetahPyBulletEnv-v0", N_ENVS, num_workers=workers)
        envs.reset()
        rng = np.random.default_rng(0)

        def work(envs: Any = envs, rng: Any = rng) -> int:
            for _ in range(STEPS):
                envs.step(rng.uniform(-1, 1, (N_ENVS, 6)))
            return STEPS * N_ENVS

        sides[name] = work
    return Contest("a step of 50 HalfCheetahBullet", "step", sides, "≥ 1.8× one process on 2 cores", rounds=5)

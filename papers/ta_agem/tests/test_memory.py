"""The memory against hand-made traces, brute force, a clustering library and its own bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ta_agem_repro.memory import ClassReservoirs, Cluster, ClusteringMemory, ClusterPool
from ta_agem_repro.memory.removal import REMOVALS


def line(*values):
    return [np.array([value], np.float32) for value in values]


def content(pool):
    return [[float(x[0]) for x in cluster.samples] for cluster in pool.clusters]


def fed(values, q, p, **options):
    pool = ClusterPool(q, p, **options)
    for sample in line(*values):
        pool.add(sample, 0, 0)
    return content(pool)


# --- golden traces (spec 9.9) -----------------------------------------------------------------------------


def test_main_policy_on_a_line():
    """0 and 10 open; 1 joins the singleton 0 as k = Q; 9 joins 10; 100 joins the pair {10, 9}, 10 leaves."""
    assert fed([0, 10, 1, 9, 100], 2, 2) == [[0, 1], [9, 100]]


def test_main_policy_merges_a_singleton_away_and_reuses_its_place():
    assert fed([0, 1, 50], 3, 2) == [[0, 1], [50]]


def test_a_moved_sample_keeps_label_and_task_and_gets_a_new_arrival_number():
    pool = ClusterPool(3, 2)
    for value, task in ((0, 0), (1, 1), (50, 2)):
        pool.add(np.array([value], np.float32), 7, task)
    assert [cluster.task_ids for cluster in pool.clusters] == [[0, 1], [2]]
    assert [cluster.labels for cluster in pool.clusters] == [[7, 7], [7]]
    assert pool.clusters[0].insertion_order == [0, 3]


def test_main_policy_opens_when_the_newcomer_is_closer_to_the_singleton_than_its_neighbour():
    assert fed([0, 100, 1], 3, 2) == [[0], [100], [1]]


def test_one_cluster_takes_everything():
    assert fed([0, 5, 6, 7], 1, 3) == [[5, 6, 7]]


def test_paper_policy_opens_until_full_then_joins_the_nearest():
    assert fed([0, 1, 2, 50, 1.25], 3, 3, policy="paper") == [[0], [1, 1.25], [2, 50]]


def test_ties_go_to_the_lowest_number():
    pool = ClusterPool(4, 3, policy="paper")
    for sample in line(0, 2, 4, 6):
        pool.add(sample)
    assert pool.nearest(np.array([3], np.float32)) == (1, 1.0)
    assert pool.nearest(np.array([3], np.float32), exclude=1) == (2, 1.0)


# --- eviction (spec 9.11) ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "dropped"),
    [
        ("remove_oldest", [0, 1, 2, 9], 0),
        ("remove_newest", [0, 1, 2, 9], 3),
        ("remove_based_on_mean", [0, 1, 2, 9], 0),
        ("remove_based_on_mean", [3, 1, 9, 100], 1),
        ("remove_based_on_mean", [2, 2, 4, 4], 0),
        ("remove_oldest_unless_far", [0, 1, 2, 3], 0),
        ("remove_oldest_unless_far", [0, 1, 2, 90], 3),
        ("remove_oldest_unless_middle_far", [4, 5, 6, 5], 0),
        ("remove_oldest_unless_middle_far", [4, 30, 5, 5], 1),
    ],
)
def test_each_removal_drops_the_sample_it_should(name, values, dropped):
    first, *others, last = line(*values)
    cluster = Cluster(first, name)
    for sample in others:
        assert cluster.append(wrapped(sample), 3) is None
    gone = cluster.append(wrapped(last), 3)
    assert float(gone.x[0]) == values[dropped]
    assert len(cluster) == 3


def wrapped(sample):
    return ClusterPool(1, 1).wrap(sample, 0, 0)


def test_random_removal_is_uniform_with_the_newcomer():
    rng = np.random.default_rng(0)
    counts = np.bincount([REMOVALS["remove_random"](np.zeros(4), rng) for _ in range(8000)], minlength=4)
    assert ((counts - 2000) ** 2 / 2000).sum() < 16.3  # chi-square, 3 degrees of freedom, p = 0.001


@given(st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=8))
def test_the_mean_removal_never_drops_the_newcomer(values):
    distance = np.abs(np.array(values) - np.mean(values))
    rng = np.random.default_rng(0)
    assert REMOVALS["remove_based_on_mean"](distance, rng) < len(values) - 1


# --- bounds and means (spec 9.5, 9.6) ---------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000), st.sampled_from([1, 2, 10]), st.sampled_from([1, 2, 3, 7]),
    st.sampled_from(["main", "paper", "random"]), st.sampled_from(sorted(REMOVALS)),
)  # fmt: skip
def test_bounds_hold_after_every_offer(seed, q, p, policy, removal):
    rng = np.random.default_rng(seed)
    memory = ClusteringMemory(q, p, num_pools=3, policy=policy, removal=removal, rng=rng)
    offered = []
    for step in range(60):
        x, label = np.round(rng.normal(size=2), 1).astype(np.float32), int(rng.integers(3))
        offered.append((*x.tolist(), label))
        slot = memory.add(x, label, step // 20)
        assert -1 <= slot < memory.capacity
        check(memory, offered, q, p)


def check(memory, offered, q, p):
    slots = []
    for label, pool in memory.pools.items():
        assert len(pool.clusters) <= q
        for cluster in pool.clusters:
            assert 1 <= len(cluster) <= p
            assert set(cluster.labels) == {label}
            assert len(cluster.samples) == len(cluster.task_ids) == len(cluster.insertion_order)
            assert (np.diff(cluster.insertion_order) > 0).all()
            np.testing.assert_allclose(cluster.mean, np.mean(cluster.samples, axis=0), atol=1e-6)
            slots += [item.slot for item in cluster.items]
    assert memory.get_memory_size() == len(slots) <= memory.capacity
    assert len(set(slots)) == len(slots)
    assert sorted(np.concatenate(memory.pool_slots()).tolist()) == sorted(slots)
    left = list(offered)
    for x, label in memory.get_memory_samples():
        left.remove((*x.tolist(), label))  # every stored sample was offered, and not stored twice


def test_means_do_not_drift_in_a_hundred_thousand_operations():
    rng = np.random.default_rng(1)
    pool = ClusterPool(3, 3, removal="remove_oldest", rng=rng)
    for x in (rng.normal(0, 100, (100_000, 4)) + 1000).astype(np.float32):
        pool.add(x, 0, 0)
    for cluster in pool.clusters:
        exact = np.mean(np.asarray(cluster.samples, np.float64), axis=0)
        np.testing.assert_allclose(cluster.mean, exact, rtol=1e-7)


# --- nearest search and clusters (spec 9.7, 9.8) ----------------------------------------------------------


def test_nearest_equals_brute_force_and_the_library():
    argmin = pytest.importorskip("sklearn.metrics").pairwise_distances_argmin
    rng = np.random.default_rng(2)
    pool = ClusterPool(50, 3, policy="paper", rng=rng)
    for x in rng.random((400, 20), np.float32):
        pool.add(x, 0, 0)
    means = np.stack([cluster.mean for cluster in pool.clusters])
    queries = rng.random((300, 20), np.float32)
    found = [pool.nearest(z)[0] for z in queries]
    assert found == [int(np.argmin(np.linalg.norm(means.astype(np.float64) - z, axis=1))) for z in queries]
    assert found == argmin(queries, means).tolist()


def test_near_ties_are_settled_by_the_direct_distance():
    pool = ClusterPool(2, 1, policy="paper")
    base = np.full(784, 1000, np.float32)
    nearer, further = base.copy(), base.copy()
    nearer[0] += 0.25
    further[0] += 0.5
    pool.add(further)
    pool.add(nearer)
    assert pool.nearest(base)[0] == 1


def test_three_far_gaussians_are_all_remembered():
    cluster = pytest.importorskip("sklearn.cluster")
    score = pytest.importorskip("sklearn.metrics").adjusted_rand_score
    for seed in range(50):
        rng = np.random.default_rng(seed)
        truth = rng.permutation(np.repeat([0, 1, 2], 40))
        x = rng.normal(np.array([10, 50, 90])[truth][:, None], 2, (120, 3)).astype(np.float32)
        pool = ClusterPool(3, 3)
        for sample in x:
            pool.add(sample, 0, 0)
        rows = np.stack([item.x for item in pool.items()])
        centre = np.round((rows.mean(axis=1) - 10) / 40).astype(int)
        number = [i for i, held in enumerate(pool.clusters) for _ in held.items]
        assert set(centre) == {0, 1, 2}
        assert score(centre, number) == 1.0
    fitted = cluster.KMeans(3, n_init=1, random_state=0).fit(x).cluster_centers_
    means = np.stack([held.mean for held in pool.clusters])
    assert np.abs(means[np.argsort(means[:, 0])] - fitted[np.argsort(fitted[:, 0])]).max() < 6


# --- the memory as a whole --------------------------------------------------------------------------------


def test_a_label_too_many_is_refused():
    memory = ClusteringMemory(1, 1, num_pools=2)
    memory.add(np.zeros(2, np.float32), 5)
    memory.add(np.zeros(2, np.float32), 6)
    with pytest.raises(ValueError, match=r"label 7: all 2 pools are taken by \[5, 6\]"):
        memory.add(np.zeros(2, np.float32), 7)


def test_another_length_is_refused():
    pool = ClusterPool(2, 2)
    pool.add(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="length 4; this pool holds length 3"):
        pool.add(np.zeros(4, np.float32))


def test_tensors_come_back_as_tensors():
    torch = pytest.importorskip("torch")
    memory = ClusteringMemory(2, 2, "samples", "cpu", num_pools=2)
    memory.add_sample(torch.ones(2, 3), torch.tensor(1), 4)
    ((x, label),) = memory.get_memory_samples()
    assert isinstance(x, torch.Tensor)
    assert (x.tolist(), label) == ([1.0] * 6, 1)
    assert memory.get_oldest_task_ids_matrix() == [[4, None], [None, None]]
    assert memory.get_sample_throughputs() == {1: 1}


@pytest.mark.parametrize("kind", ["main", "paper", "random", "reservoir"])
def test_saved_and_loaded_it_goes_on_the_same(kind):
    def make(rng):
        if kind == "reservoir":
            return ClassReservoirs(3, 2, 3, rng)
        return ClusteringMemory(3, 2, num_pools=3, policy=kind, removal="remove_based_on_mean", rng=rng)

    data = np.random.default_rng(3)
    stream = [(data.normal(size=4).astype(np.float32), int(data.integers(3)), i // 9) for i in range(120)]
    rng = np.random.default_rng(4)
    straight = make(rng)
    for item in stream[:60]:
        straight.add(*item)
    other_rng = np.random.default_rng(4)
    other_rng.bit_generator.state = rng.bit_generator.state
    resumed = make(other_rng)
    resumed.load(straight.state())
    for item in stream[60:]:
        assert straight.add(*item) == resumed.add(*item)
    for name, column in straight.contents().items():
        np.testing.assert_array_equal(column, resumed.contents()[name])
    assert straight.get_pool_sizes() == resumed.get_pool_sizes()
    assert straight.get_sample_throughputs() == resumed.get_sample_throughputs()


@pytest.mark.parametrize("kind", ["main", "reservoir"])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("shape", [(2, 2, 3), (3, 1, 3), (3, 2, 2), (4, 2, 3), (3, 3, 3), (3, 2, 4)])
def test_a_state_of_another_shape_is_not_loaded(kind, told, shape):
    """Also where the state is of an earlier version, which did not say what it is of."""

    def make(q, p, pools):
        rng = np.random.default_rng(0)
        if kind == "reservoir":
            return ClassReservoirs(q, p, pools, rng)
        return ClusteringMemory(q, p, num_pools=pools, policy="paper", rng=rng)

    full = make(3, 2, 3)
    data = np.random.default_rng(3)
    for i in range(90):
        full.add(data.normal(size=4).astype(np.float32), i % 3)
    state = full.state()
    if not told:
        state["pools"] = [
            {key: value for key, value in pool.items() if key not in ("made", "capacity", "law")}
            for pool in state["pools"]
        ]
    other = make(*shape)
    with pytest.raises(ValueError, match="state"):
        other.load(state)
    assert other.get_memory_size() == 0


def test_a_state_of_another_policy_is_not_loaded():
    one, other = (ClusteringMemory(3, 2, num_pools=3, policy=policy) for policy in ("main", "paper"))
    one.add(np.ones(3, np.float32), 1)
    with pytest.raises(ValueError, match="state of a pool of"):
        other.load(one.state())


def test_a_sample_of_another_length_is_not_counted():
    memory = ClassReservoirs(3, 2, 3, np.random.default_rng(0))
    memory.add(np.ones(4, np.float32), 1)
    with pytest.raises(ValueError, match=r"x of shape .1, 3.: .1, 4."):
        memory.add(np.ones(3, np.float32), 1)
    assert memory.get_sample_throughputs() == {1: 1}


def test_distances_can_be_taken_in_a_reduced_space():
    class First:
        """Keeps the first column, learned from nothing."""

        def fit(self, x):
            self.width = x.shape[1]

        def transform(self, x):
            return x[:, :1]

    pool = ClusterPool(2, 2, dimensionality_reducer=First(), policy="paper")
    far = [np.array(values, np.float32) for values in ([0, 90], [10, 0], [1, 0])]
    pool.fit_reducer(np.stack(far))
    for x in far:
        pool.add(x)
    assert [len(cluster) for cluster in pool.clusters] == [2, 1]
    with pytest.raises(ValueError, match="no reducer"):
        ClusterPool(1, 1).fit_reducer(np.zeros((2, 2)))


def test_a_reservoir_per_class_stays_a_uniform_sample():
    kept = np.zeros(40)
    rng = np.random.default_rng(0)
    for _ in range(600):
        memory = ClassReservoirs(2, 2, 2, rng)
        for i in range(40):
            memory.add(np.array([i], np.float32), i % 2)
        for i in memory.contents()["samples"][:, 0]:
            kept[int(i)] += 1
    expected = 600 * 4 / 20
    assert ((kept - expected) ** 2 / (expected * 0.8)).sum() / 40 < 1.7
    assert memory.get_sample_throughputs() == {0: 20, 1: 20}

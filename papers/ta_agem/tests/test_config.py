"""Settings: which source wins, what each key means, what is refused before any work."""

import itertools

import pytest

from clrepro.errors import UsageError
from ta_agem_repro.config import DEFAULT, PAPER, parse_changes, read_yaml, resolve
from ta_agem_repro.settings import Settings


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A writer of configuration files; the working directory has no other."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="own.yaml"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def test_the_file_that_comes_along_says_what_the_program_does_by_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # found from anywhere
    expected = Settings(seed=1, device="auto", output_dir="./test_results")
    assert resolve({"seed": 1}) == expected


def test_every_key_of_the_file_is_known(caplog):
    resolve({})
    assert not caplog.records
    assert set(read_yaml(PAPER / DEFAULT)) >= {
        "task_type",
        "task_specific",
        "testing_rate",
        "removal_function",
    }


@pytest.mark.parametrize(("in_file", "lite", "flag"), list(itertools.product([False, True], repeat=3)))
def test_flag_beats_lite_beats_file_beats_default(in_file, lite, flag, file):
    config = file(("batch_size: 20\n" if in_file else "") + f"lite: {str(lite).lower()}\n")
    changes = ["batch_size=7"] if flag else []
    expected = 7 if flag else 50 if lite else 20 if in_file else 10
    assert resolve({}, config=config, changes=changes).batch_size == expected


def test_lite_is_lite(file):
    config = file("lite: true\n")
    for task_type, n_tasks in (("permutation", 2), ("rotation", 2), ("class_split", 5)):
        settings = resolve({"task_type": task_type}, config=config)
        assert (settings.num_tasks, settings.quick_test_mode) == (n_tasks, True)
    assert resolve({"lite": False}, config=config).num_tasks == 10
    assert resolve({"lite": True}).num_tasks == 2
    many = resolve({"lite": True}, changes=["task_specific.permutation.num_tasks=4"])
    assert many.num_tasks == 4


def test_task_types_bring_their_own_memory():
    split = resolve({"task_type": "class_split"})
    assert (split.num_tasks, split.num_pools, split.memory_size_q, split.memory_capacity) == (5, 2, 50, 300)
    turned = resolve({"task_type": "rotation"}, changes=["task_specific.rotation.clusters_per_pool=4"])
    assert (turned.memory_size_q, turned.num_pools) == (4, 10)


def test_methods_bring_their_own_settings_unless_told_otherwise():
    paper = resolve({"method": "paper"})
    assert (paper.memory_update, paper.use_learning_rate_scheduler, paper.random_em) == ("batch", True, False)
    assert resolve({"method": "paper"}, changes=["memory_update=epoch"]).memory_update == "epoch"
    assert resolve({"method": "agem-random"}).add_remove_randomly
    assert not resolve({}).add_remove_randomly


def test_other_names_of_keys_and_of_epochs(file):
    config = file("testing_rate: 300\nnum_epochs: {0: 1, 1: 2}\ntask_specific: {rotation: {num_tasks: 2}}\n")
    settings = resolve({"task_type": "rotation"}, config=config)
    assert (settings.testing_interval, settings.epochs_per_task) == (300, (1, 2))
    assert resolve({}, changes=["TESTING_INTERVAL=5", "only_one_epoch=true"]).epochs_per_task == (1,) * 10
    assert resolve({}, changes=["num_epochs=[1,2,3]", "task_specific.permutation.num_tasks=3"]).num_tasks == 3


def test_seeds_are_drawn_and_differ_unless_given():
    assert resolve({"seed": 3}).seed == 3
    assert len({resolve({}).seed for _ in range(4)}) == 4


def test_an_unknown_key_is_a_warning_that_names_it(file, caplog):
    resolve({}, config=file("hidden_dims: 3\n"))
    assert [record.getMessage() for record in caplog.records] == [
        "the configuration file: unknown key 'hidden_dims', ignored"
    ]


def test_the_second_place_of_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "default.yaml").write_text("batch_size: 33\n")
    assert resolve({}).batch_size == 33


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sampling_rate: 11", r"sampling_rate 11\.0: above 0 and at most the batch size \(10\)"),
        ("sampling_rate: 0", "above 0"),
        ("task_introduction: other", "one of sequential, half and half, random, continuous"),
        ("dataset_name: svhn", "one of mnist, fashion_mnist, cifar10"),
        ("task_type: class_split\ntask_specific: {class_split: {num_tasks: 4}}", "class_split makes 5 tasks"),
        ("task_type: other", "one of permutation, rotation, class_split"),
        ("task_specific: {other: {num_tasks: 4}}", r"task_specific\.other"),
        ("batch_size: ten", "batch_size 'ten': expected int"),
        ("random_em: 1", "random_em 1: expected true or false"),
        ("learning_rate: .nan", "learning_rate nan: must be a finite number"),
        ("learning_rate: 0", "learning_rate 0.0: must be a number above 0"),
        ("num_epochs: 0", "each 1 or more"),
        ("num_epochs: [1, 2]", "one number, or one per task"),
        ("num_epochs: {5: 1}", "num_epochs"),
        ("task_introduction: continuous\nnum_epochs: 5", r"num_transition_epochs 10: 1 to num_epochs \(5\)"),
        (
            "task_introduction: continuous\nnum_epochs: [5]",
            "continuous introduction takes one number|one per task",
        ),
        ("memory_size_p: 0", "must be 1 or more"),
        ("removal_function: other", "one of remove_oldest"),
        ("- a list", "expected a table"),
        ("a: [1", "not readable as YAML"),
        ("a: !!python/object/apply:os.system ['true']", "not readable as YAML"),
    ],
)
def test_what_cannot_be_is_one_line(text, message, file):
    with pytest.raises(UsageError, match=message) as caught:
        resolve({"seed": 0}, config=file(text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change", ["batch_size", "=3", "a=[1", "task_specific.other.num_tasks=3", "task_specific.rotation.q=3"]
)
def test_wrong_changes_are_one_line(change):
    with pytest.raises(UsageError, match=r"--set|task_specific"):
        resolve({}, changes=[change])


def test_a_missing_file_names_the_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no configuration file none\.yaml"):
        resolve({}, config="none.yaml")
    assert parse_changes(["a=1", "b=x y", "c=[1, 2]"]) == {"a": 1, "b": "x y", "c": [1, 2]}


@pytest.mark.parametrize("name", ["seed", "data_seed"])
def test_seeds_are_numbers_of_32_bits(name):
    assert getattr(resolve({name: 2**32 - 1}), name) == 2**32 - 1
    for bad in (-1, 2**32):
        with pytest.raises(UsageError, match=f"{name} {bad}: must be from 0"):
            resolve({name: bad})
    with pytest.raises(UsageError, match="expected int"):
        resolve({name: "one"})


@pytest.mark.parametrize(
    "text",
    ["num_tasks: 3\nnum_tasks: 4\n", "a: {b: 1, b: 2}\n", "a:\n- {b: 1}\n- {b: 1, 'b': 2}\n", "{a: 1, a: 1}"],
)
def test_a_key_that_occurs_twice_is_an_error(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"x\.yaml.*occurs twice") as refused:
        read_yaml(tmp_path / "x.yaml")
    assert "\n" not in str(refused.value)


def test_keys_of_different_tables_and_merges_may_repeat(tmp_path):
    (tmp_path / "x.yaml").write_text("a: &a {n: 1}\nb: &b {n: 2}\nc:\n  <<: *a\n  <<: *b\n  n: 3\n")
    assert read_yaml(tmp_path / "x.yaml")["c"]["n"] == 3

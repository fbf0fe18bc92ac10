"""What more seeds would settle: the counts keep their word, costs and commands are of the rows themselves."""

import math
import shlex

import pytest

from clrepro.claims import Claims, Ordering, Reference, Value
from clrepro.metrics.stats import difference_interval, least_half_width
from clrepro.records import RunRecord
from clrepro.report.budget import seed_budget
from clrepro.report.tables import results_table
from clrepro.verdicts import judge_value

CLAIMS = Claims(
    "T",
    {"RA": "retained"},
    values=(
        Value("full", "rot/200", "near", "RA", "found", "s", Reference(70.0), 1.5),
        Value("full", "rot/200", "wide", "RA", "found", "s", Reference(70.0, 4.0, 3), 1.5),
        Value("full", "rot/200", "sure", "RA", "found", "s", Reference(70.0), 1.5),
        Value("full", "rot/200", "one", "RA", "found", "s", Reference(70.0), 1.5),
    ),
    orderings=(
        Ordering("full", "C", "rot/200", "RA", "near", "sure", 0.5),
        Ordering("full", "C", "rot/200", "RA", "sure", "wide", 0.5),
    ),
)
VALUES = {
    "near": [0.70, 0.72, 0.69, 0.705],
    "wide": [0.70, 0.71, 0.70],
    "sure": [0.70, 0.701, 0.699],
    "one": [0.7],
}


def records(values=VALUES, cost=None):
    for method, numbers in values.items():
        for seed, value in enumerate(numbers):
            yield RunRecord(
                paper="mer", profile="full", setting="rot/200", method=method, seed=seed,
                command=["main.py"], settings={}, settings_hash="0" * 64, metrics={"RA": value},
                cost={"cpu_s": 36.0, "wall_s": 100.0} if cost is None else cost,
            )  # fmt: skip


@pytest.fixture
def budget():
    return seed_budget(results_table("mer", "full", list(records()), CLAIMS))


def test_every_open_cell_is_listed_once_where_it_belongs(budget):
    assert [need.method for need in budget.cells] == ["one", "near"]  # the cheapest first
    assert [one.method for one in budget.never] == ["wide"]
    assert (budget.cells[0].more, budget.cells[0].first) == (1, True)
    assert not budget.cells[1].first


def test_as_many_seeds_as_asked_for_decide_at_the_same_spread(budget):
    """The plan's promise, checked with the verdict itself: values of the same mean and spread, n + more."""
    need = budget.cells[1]
    mean, sd = 70.375, 1.25
    claim = next(one for one in CLAIMS.values if one.method == "near")

    def alike(n):  # n values, mean and sample sd as of the four there are
        half = sd * math.sqrt((n - 1) / (2 * (n // 2)))
        return [mean + half] * (n // 2) + [mean - half] * (n // 2) + [mean] * (n % 2)

    assert judge_value(claim, alike(need.n + need.more)).word == "reproduced"
    assert judge_value(claim, alike(need.n + need.more - 1)).word == "consistent"
    assert need.n == 4
    assert need.seeds == 4 + need.more


def test_cost_and_command_are_of_the_row_and_name_all_seeds(budget):
    need = budget.cells[1]
    assert need.hours == pytest.approx(0.01 * need.more)  # 36 s of processor time a run
    words = shlex.split(need.command)
    assert words[:3] == ["cl-repro", "reproduce", "mer"]
    assert words[words.index("--only") + 1] == "rot/200/near"
    assert words[words.index("--seeds") + 1] == str(need.seeds)
    assert budget.runs == need.more + 1
    assert (budget.rows, budget.hours) == (2, pytest.approx(0.01 * (need.more + 1)))


def test_an_ordering_asks_every_side_for_what_it_lacks(budget):
    """`near` has a fourth seed already, so its side is charged for one run less than `sure`."""
    first = next(one for one in budget.orderings if "near" in one.text)
    assert first.n == 3
    assert first.hours == pytest.approx(0.01 * (2 * first.more - 1))
    asked = [shlex.split(command) for command in first.commands]
    assert {words[words.index("--seeds") + 1] for words in asked} == {str(3 + first.more)}
    assert len(asked) == (2 if first.more > 1 else 1)


def test_what_the_reference_leaves_is_the_limit_of_the_interval(budget):
    one = budget.never[0]
    n_ours, n_reference = one.both
    enough, fewer = (difference_interval([70.0, 71.0, 70.0], 70.0, 4.0, n_reference - k) for k in (0, 1))
    assert n_ours == 3
    assert (enough.side(-1.5, 1.5), fewer.side(-1.5, 1.5)) == ("inside", "across")
    assert one.floor == pytest.approx(
        4.302653 * 4.0 / math.sqrt(3), rel=1e-6
    )  # Student, 2 degrees of freedom
    values = [70.0, 71.0] * 50_000
    many = difference_interval(values, 70.0, 4.0, 3)
    assert (many.high - many.low) / 2 == pytest.approx(one.floor, rel=1e-3)


@pytest.mark.parametrize(("sd", "n", "expected"), [(0.0, 3, 0.0), (2.0, 1, 2 * 1.959964)])
def test_least_half_width_of_exact_and_of_single_references(sd, n, expected):
    assert least_half_width(sd, n) == pytest.approx(expected, rel=1e-5)


def test_a_cell_at_its_boundary_is_late_but_not_never():
    """The mean lies 1.501 points off a tolerance of 1.5: enough seeds would tell, but not 1,000."""
    values = {"near": [0.71501, 0.72501, 0.70501]}
    table = results_table("mer", "full", list(records(values)), CLAIMS)
    budget = seed_budget(table)
    assert (budget.cells, budget.never) == ((), ())
    assert budget.late == ("RA of rot/200/near",)
    assert "more than 1000 seeds" in table.rows[0].cells[0].verdict.reason


def test_costs_that_nobody_measured_are_unknown_and_come_last():
    mixed = [*records({"near": VALUES["near"]}, {}), *records({"one": [0.7]})]
    budget = seed_budget(results_table("mer", "full", mixed, CLAIMS))
    assert [need.method for need in budget.cells] == ["one", "near"]
    assert math.isnan(budget.cells[1].hours)
    assert math.isnan(budget.hours)


def test_clock_time_stands_in_for_processor_time():
    table = results_table("mer", "full", list(records({"one": [0.7]}, {"wall_s": 3600.0})), CLAIMS)
    assert seed_budget(table).cells[0].hours == pytest.approx(1.0)


def test_a_table_without_open_questions_has_no_plan():
    table = results_table("mer", "full", list(records({"sure": VALUES["sure"]})), CLAIMS)
    assert not seed_budget(table)

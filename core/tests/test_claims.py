"""Claims files are read strictly; verdicts follow their stated rule in both directions."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from clrepro.claims import (
    STATUSES,
    UNKNOWN_N,
    Gap,
    Ordering,
    Reference,
    Second,
    Value,
    load_claims,
)
from clrepro.errors import DataError
from clrepro.verdicts import judge_ordering, judge_reference, judge_value

PAPERS = Path(__file__).resolve().parents[2] / "papers"

HEAD = 'title = "T"\n[metrics]\nRA = "retained"\n'
CELL = 'profile = "full"\nsetting = "a"\nmethod = "m"\nmetric = "RA"\nsource = "here"\n'
VALUE = f'[[value]]\n{CELL}status = "found"\nreference = {{ value = 70.0, spread = 0.5, n = 5 }}\n'
NOTHING = f'[[value]]\n{CELL}status = "not-found"\n'
ORDERING = """
[[ordering]]
profile = "full"
claim = "C1"
setting = "a"
metric = "RA"
better = "x"
worse = "y"
slack_pct = 1.0
"""


def load(tmp_path, text):
    path = tmp_path / "claims.toml"
    path.write_text(text)
    return load_claims(path)


def test_a_good_file_is_read_whole(tmp_path):
    claims = load(tmp_path, HEAD + VALUE)
    value = claims.value("full", "a", "m", "RA")
    assert value.reference == Reference(70.0, 0.5, 5)
    assert claims.value("quick", "a", "m", "RA") is None
    assert claims.scale("RA") == 100
    assert load(tmp_path, "scales.RA = 1\n" + HEAD).scale("RA") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = 3", "needs a title"),
        (HEAD + "[other]\nx = 1", "unknown key 'other'"),
        (HEAD + VALUE + "tolerence_pct = 1.0", "unknown key 'tolerence_pct'"),
        (HEAD + VALUE.replace('"found"', '"guessed"'), "status 'guessed'"),
        (HEAD + VALUE.replace("value = 70.0", 'value = "70"'), "expected { value"),
        (HEAD + VALUE.replace('"m"', "3"), "wrong type"),
        (HEAD + f'[[value]]\n{CELL}status = "found"\n', "a reference belongs"),
        (HEAD + VALUE.replace('"found"', '"not-found"'), "a reference belongs"),
        (HEAD + VALUE.replace('method = "m"\n', ""), "'method' is missing"),
        (HEAD + VALUE + VALUE, "two values for full/a/m/RA"),
        ("title = ", "not a readable claims file"),
        (HEAD + VALUE.replace('"RA"', '"AR"'), "metric 'AR'; one of RA"),
        (HEAD + VALUE.replace("n = 5", "n = 0"), "n at least 1"),
        (HEAD + VALUE.replace("n = 5", "n = 2.5"), "reference n = 2.5"),
        (HEAD + VALUE.replace("70.0", "nan"), "reference value = nan"),
        (HEAD + VALUE.replace("n = 5", 'spread_kind = "range"'), "spread_kind 'range'"),
        (HEAD + VALUE + "tolerance_pct = -1.0", "tolerance_pct = -1.0"),
        (HEAD + VALUE.replace('method = "m"', 'method = ["m", "k"]'), "belongs to one cell"),
        (HEAD + NOTHING.replace('method = "m"', 'method = ["m", 3]'), "expected one with names"),
        (HEAD + NOTHING.replace('method = "m"', 'method = ["m", "m"]'), "two values for full/a/m/RA"),
        (HEAD + ORDERING + ORDERING, "two values for the same ordering"),
        (HEAD + ORDERING.replace("[[ordering]]", "[ordering]"), "[[ordering]]"),
        (HEAD + ORDERING + 'compare = "best"', "compare 'best'"),
        (HEAD + ORDERING + "min_seeds = 1", "min_seeds = 1"),
        ('notes = "one"\n' + HEAD, "notes is a list"),
        ("value = [3]\n" + HEAD, "value 1: 3 is no table"),
        ("scales.AR = 1\n" + HEAD, "[scales]"),
        ("scales.RA = -1\n" + HEAD, "[scales]"),
        ("scales.RA = inf\n" + HEAD, "[scales]"),
        ("scales = 3\n" + HEAD, "[scales]"),
        (HEAD + VALUE + "second = 80.4", "second: 80.4; expected"),
        (HEAD + VALUE + 'second = { value = 80.4, status = "measured" }', "second: {"),
        (HEAD + VALUE + 'second = { status = "measured", source = "x" }', "second: reference {}"),
        (HEAD + VALUE + 'second = { value = 1, status = "seen", source = "x" }', "status 'seen'"),
        (HEAD + VALUE + 'second = { value = 1, status = "not-found", source = "x" }', "status 'not-found'"),
        (HEAD + VALUE + 'second = { value = 1, status = "measured", source = 3 }', "source = 3"),
        (HEAD + NOTHING + 'second = { value = 1, status = "measured", source = "x" }', "second belongs to"),
        (HEAD + NOTHING + 'doubt = "x"', "doubt belongs to"),
    ],
)
def test_wrong_files_are_refused_with_file_and_key(tmp_path, text, message):
    with pytest.raises(DataError) as problem:
        load(tmp_path, text)
    assert message in str(problem.value)
    assert "claims.toml" in str(problem.value)


def test_the_style_guides_example_is_a_claims_file(tmp_path):
    text = """
title = "T"
metrics.final_accuracy_pct = "accuracy"
[[value]]
profile = "full"
setting = "cifar100-20x5/1-epoch"
method = "tag-rms"
metric = "final_accuracy_pct"
reference = { value = 62.79, spread = 0.29, spread_kind = "population sd", n = 5 }
source = "authors' run logs in the repository's history"
status = "logs"
tolerance_pct = 1.5
"""
    reference = load(tmp_path, text).values[0].reference
    assert reference.sd == pytest.approx(0.29 * (5 / 4) ** 0.5)
    assert Reference(1.0, 0.5, 4, "standard error").sd == 1.0
    assert Reference(1.0, 0.5, None, "standard error").sd == pytest.approx(0.5 * UNKNOWN_N**0.5)
    assert Reference(1.0).sd == 0.0


def test_lists_stand_for_every_combination_and_sources_have_names(tmp_path):
    text = NOTHING.replace('"m"', '["m", "k"]').replace('"a"', '["a", "b"]').replace('"here"', '"short"')
    claims = load(tmp_path, f'sources.short = "the long reason"\n{HEAD}{text}')
    assert Counter((v.setting, v.method) for v in claims.values) == {
        (s, m): 1 for s in ("a", "b") for m in ("m", "k")
    }
    assert {v.source for v in claims.values} == {"the long reason"}


@pytest.mark.parametrize("path", sorted(PAPERS.glob("*/claims.toml")), ids=lambda path: path.parent.name)
def test_claims_of_the_papers_are_in_order(path):
    claims = load_claims(path)
    assert {v.status for v in claims.values} <= set(STATUSES)
    assert all(v.source[0].islower() for v in claims.values)  # they continue a sentence


def value(tolerance=1.5, spread=0.3, n=5):
    return Value("full", "a", "m", "RA", "found", "here", Reference(70.0, spread, n), tolerance)


@pytest.mark.parametrize(
    ("ours", "word"),
    [
        ([70.1, 70.3, 69.9, 70.0, 70.2], "reproduced"),
        ([73.1, 73.3, 72.9, 73.0, 73.2], "differs"),
        ([66.1, 66.3, 65.9, 66.0, 66.2], "differs"),
        ([71.3, 71.6, 71.4, 71.7, 71.5], "inconclusive"),
        ([60.0, 80.0, 65.0, 75.0, 70.0], "consistent"),
        ([70.2, 72.9, 70.1, 71.5, 70.3], "consistent"),  # 1 point off, and up to 2.6 by the interval
        ([71.2, 71.9, 70.9, 71.5, 71.3], "inconclusive"),  # within the tolerance, but 0 is excluded
        ([60.0, 84.0, 65.0, 79.0, 72.0], "inconclusive"),  # 0 is included, but 2 points off
        ([70.0], "inconclusive"),
    ],
)
def test_a_value_is_judged_by_the_interval_of_the_difference(ours, word):
    assert judge_value(value(), ours).word == word


def test_without_a_target_there_is_no_verdict():
    missing = Value("full", "a", "m", "RA", "not-found", "not readable")
    assert judge_value(missing, [1.0, 2.0]).word == "no reference"
    assert judge_value(missing, [1.0, 2.0]).reason == "not readable"
    assert judge_value(None, [1.0]).word == "no reference"


def test_more_seeds_are_promised_only_where_they_would_help():
    near = [71.0, 71.6, 70.4]
    verdict = judge_value(value(spread=0.1, n=30), near)
    assert (verdict.word, verdict.n) == ("consistent", 3)
    assert verdict.more_seeds > 0
    again = near + [np.mean(near) + 0.6 * k for k in (-1, 1)] * (verdict.more_seeds // 2 + 1)
    assert judge_value(value(spread=0.1, n=30), again).word == "reproduced"
    hopeless = judge_value(value(spread=3.0, n=3), near)
    assert hopeless.more_seeds is None
    assert "no number of our seeds" in hopeless.reason
    assert judge_value(value(), [70.0]).more_seeds == 1


@pytest.mark.parametrize(
    ("ours", "whose"),
    [([70.3, 70.5, 70.1, 70.4, 70.2], "of the reference"), ([68.5, 72.0, 70.0], "on either side")],
)
def test_where_ours_never_decide_it_says_how_many_of_the_reference_would(ours, whose):
    """The promise, checked with the verdict itself: as many seeds of the same means and spreads decide."""
    hopeless = judge_value(value(spread=2.0, n=3), ours)
    n_ours, n_reference = hopeless.both_seeds
    assert (hopeless.word, hopeless.more_seeds) == ("consistent", None)
    assert f"but {n_reference} seeds {whose} would" in hopeless.reason
    assert (n_ours > len(ours)) == (whose == "on either side")

    def alike(n):  # n values, mean and sample sd as of ours
        if n == len(ours):
            return ours
        mean, sd = np.mean(ours), np.std(ours, ddof=1)
        half = sd * ((n - 1) / (2 * (n // 2))) ** 0.5
        return [mean + half] * (n // 2) + [mean - half] * (n // 2) + [mean] * (n % 2)

    assert not judge_value(value(spread=2.0, n=n_reference), alike(n_ours)).open
    fewer = n_ours if whose == "of the reference" else n_ours - 1
    assert judge_value(value(spread=2.0, n=n_reference - 1), alike(fewer)).open


def test_consistent_is_no_more_than_it_says():
    """Of references that are 3 points off, beyond the tolerance, few noisy seeds find 0 in the interval
    often enough: the word must not be read as agreement.  With little noise it does not occur.
    """
    rng = np.random.default_rng(5)
    claim = value(tolerance=1.5, spread=0.0, n=None)
    noisy = Counter(judge_value(claim, rng.normal(73.0, 3.0, 5)).word for _ in range(400))
    clear = Counter(judge_value(claim, rng.normal(73.0, 0.5, 5)).word for _ in range(400))
    assert noisy["consistent"] > 0
    assert noisy["reproduced"] / 400 < 0.04
    assert clear["consistent"] == clear["reproduced"] == 0


def test_a_second_reference_has_status_source_and_verdict_of_its_own(tmp_path):
    second = 'second = { value = 80.4, spread = 0.4, n = 5, status = "measured", source = "ran" }\n'
    doubt = 'doubt = "another says 71"\n'
    claims = load(tmp_path, f'sources.ran = "the original, run here"\n{HEAD}{VALUE}{second}{doubt}')
    (one,) = claims.values
    assert one.second == Second(Reference(80.4, 0.4, 5), "measured", "the original, run here")
    assert one.doubt == "another says 71"
    ours = [80.3, 80.5, 80.4]
    assert judge_value(one, ours).word == "differs"  # from the first, 70
    assert judge_reference(one.second.reference, one.tolerance_pct, ours).word == "reproduced"


def test_equivalence_errs_as_rarely_as_it_says():
    """At a true difference of exactly the tolerance, few are called reproduced, few differing."""
    rng = np.random.default_rng(3)
    claim = value(tolerance=1.0, spread=0.0, n=None)
    words = Counter(judge_value(claim, rng.normal(71.0, 0.5, 5)).word for _ in range(1500))
    assert words["reproduced"] / 1500 < 0.04  # one tail of a two-sided 95 % interval
    assert words["differs"] / 1500 < 0.04
    same = Counter(judge_value(claim, rng.normal(70.0, 0.3, 5)).word for _ in range(300))
    assert same["reproduced"] > 250
    assert same["differs"] == 0


def test_every_reason_is_one_sentence():
    for verdict in (judge_value(value(), [70.0, 70.1]), judge_value(value(), [90.0, 90.1])):
        assert "\n" not in verdict.reason
        assert ". " not in verdict.reason
        assert verdict.difference.low < verdict.difference.mean < verdict.difference.high


def test_an_exact_target_is_met_exactly_or_not():
    exact = Value("full", "a", "m", "RA", "derived", "by construction", Reference(0.0), tolerance_pct=0.0)
    assert judge_value(exact, [0.0, 0.0, 0.0]).word == "reproduced"
    assert judge_value(exact, [-1e-9, -1e-9]).word == "differs"
    assert judge_value(exact, [0.0, 0.0, -1e-9]).word == "inconclusive"


def test_an_unknown_number_of_reference_seeds_widens_the_interval():
    ours = [70.9, 71.0, 71.1, 71.0, 71.0]
    assert judge_value(value(spread=0.3, n=30), ours).word == "reproduced"
    unknown = judge_value(value(spread=0.3, n=None), ours)
    assert unknown.word == "inconclusive"
    assert f"over {UNKNOWN_N} seeds" in unknown.reason


def cells(better, worse):
    return {("a", "x"): dict(enumerate(better)), ("a", "y"): dict(enumerate(worse))}


ORDER = Ordering("full", "C1", "a", "RA", "x", "y", slack_pct=1.0, min_seeds=3)


@pytest.mark.parametrize(
    ("better", "worse", "word"),
    [
        ([70, 71, 72], [65, 66.2, 67], "holds"),
        ([65, 66.2, 67], [70, 71, 72], "fails"),
        ([70, 60, 80], [70, 70, 70], "inconclusive"),
        ([70, 71], [60, 61], "inconclusive"),
        ([70.0, 71.0, 72.0], [70.2, 71.1, 72.3], "holds"),  # behind, but within the slack
    ],
)
def test_an_ordering_is_judged_by_paired_differences(better, worse, word):
    assert judge_ordering(ORDER, cells(better, worse)).word == word


def test_pairing_by_seed_sees_what_the_means_hide():
    """Seeds vary by ten points, the difference within a seed by a tenth."""
    assert judge_ordering(ORDER, cells([60, 70, 80], [58.0, 68.1, 77.9])).word == "holds"


def test_an_ordering_without_runs_says_so():
    assert judge_ordering(ORDER, {}).word == "no runs"
    assert judge_ordering(ORDER, cells([70, 71, 72], [])).word == "no runs"


def test_only_common_seeds_count_and_nan_is_not_measured():
    some = cells([70, 71, 72, float("nan"), 90], [65, 66.2, 67, 60])
    verdict = judge_ordering(ORDER, some)
    assert (verdict.word, verdict.n) == ("holds", 3)
    few = judge_ordering(Ordering("full", "C", "a", "RA", "x", "y", 1.0, min_seeds=5), some)
    assert (few.word, few.more_seeds) == ("inconclusive", 2)


@pytest.mark.parametrize(
    ("compare", "words"),
    [("higher", ["holds", "fails"]), ("lower", ["fails", "holds"]), ("nearer-zero", ["fails", "holds"])],
)
def test_what_is_better_can_be_higher_lower_or_nearer_zero(compare, words):
    order = Ordering("full", "C4", "a", "BTI", "x", "y", 0.0, compare=compare)
    sides = ([6.0, 6.1, 6.3], [-0.5, -0.6, -0.8])
    found = [judge_ordering(order, cells(*pair)).word for pair in (sides, sides[::-1])]
    assert found == words


def test_an_undecided_ordering_says_how_many_more_seeds():
    verdict = judge_ordering(ORDER, cells([70, 71.5, 69.5], [70, 70, 70]))
    assert verdict.word == "inconclusive"
    lead = [0.0, 1.5, -0.5] * (1 + verdict.more_seeds)
    assert judge_ordering(ORDER, cells([70 + x for x in lead], [70] * len(lead))).word == "holds"


def test_orderings_err_as_rarely_as_they_say():
    """With the true lead exactly at the boundary, 5 % hold and 5 % fail."""
    rng = np.random.default_rng(4)
    draws = (cells(rng.normal(69.0, 1.0, 5), np.full(5, 70.0)) for _ in range(1500))
    words = Counter(judge_ordering(ORDER, draw).word for draw in draws)
    assert words["holds"] / 1500 == pytest.approx(0.05, abs=0.017)
    assert words["fails"] / 1500 == pytest.approx(0.05, abs=0.017)


def test_a_gap_compares_two_leads():
    gap = Gap("full", "C2", "RA", "x", "y", larger="small", smaller="big", slack_pct=0.0, min_seeds=3)
    sides = {
        ("small", "x"): {0: 70.0, 1: 71.0, 2: 70.5},
        ("small", "y"): {0: 60.0, 1: 61.2, 2: 60.4},
        ("big", "x"): {0: 90.0, 1: 91.0, 2: 90.6},
        ("big", "y"): {0: 88.0, 1: 89.1, 2: 88.5},
    }
    assert judge_ordering(gap, sides).word == "holds"
    swapped = Gap("full", "C2", "RA", "x", "y", larger="big", smaller="small", slack_pct=0.0, min_seeds=3)
    assert judge_ordering(swapped, sides).word == "fails"

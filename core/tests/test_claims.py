"""Claims files are read strictly; verdicts follow their stated rule in both directions."""

import pytest

from clrepro.claims import Gap, Ordering, Reference, Value, judge_ordering, judge_value, load_claims
from clrepro.errors import DataError

HEAD = 'title = "T"\n[metrics]\nRA = "retained"\n'
CELL = 'profile = "full"\nsetting = "a"\nmethod = "m"\nmetric = "RA"\nsource = "here"\n'
VALUE = f'[[value]]\n{CELL}status = "found"\nreference = {{ value = 70.0, spread = 0.5, n = 5 }}\n'


def load(tmp_path, text):
    path = tmp_path / "claims.toml"
    path.write_text(text)
    return load_claims(path)


def test_a_good_file_is_read_whole(tmp_path):
    claims = load(tmp_path, HEAD + VALUE)
    value = claims.value("full", "a", "m", "RA")
    assert value.reference == Reference(70.0, 0.5, 5)
    assert claims.value("quick", "a", "m", "RA") is None


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
    ],
)
def test_wrong_files_are_refused_with_file_and_key(tmp_path, text, message):
    with pytest.raises(DataError) as problem:
        load(tmp_path, text)
    assert message in str(problem.value)
    assert "claims.toml" in str(problem.value)


def value(tolerance=1.5, spread=0.3, n=5):
    return Value("full", "a", "m", "RA", "found", "here", Reference(70.0, spread, n), tolerance)


@pytest.mark.parametrize(
    ("ours", "word"),
    [
        ([70.1, 70.3, 69.9, 70.0, 70.2], "reproduced"),
        ([73.1, 73.3, 72.9, 73.0, 73.2], "differs"),
        ([66.1, 66.3, 65.9, 66.0, 66.2], "differs"),
        ([71.3, 71.6, 71.4, 71.7, 71.5], "inconclusive"),
        ([60.0, 80.0, 65.0, 75.0, 70.0], "inconclusive"),
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


def test_an_unknown_number_of_reference_seeds_widens_the_interval():
    ours = [70.9, 71.0, 71.1, 71.0, 71.0]
    assert judge_value(value(spread=0.3, n=30), ours).word == "reproduced"
    assert judge_value(value(spread=0.3, n=None), ours).word == "inconclusive"


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

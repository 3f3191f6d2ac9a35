"""What the bench of sensor gaps says of several studies together."""

import json

import pytest

from benchmarks.gaps import best_elsewhere, components, pooled, report, take_over


def write(study, rows, **more):
    scores = {"all": {"mAP": {row: {"seeds": seeds} for row, seeds in rows.items()}}}
    study.mkdir(parents=True, exist_ok=True)
    (study / "study.json").write_text(
        json.dumps({"scores": scores, **{"commits": ["abc"], **more}})
    )


def lines(text):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]


def test_a_stratified_mean_by_hand():
    """Of 2.5 the error is sqrt(1 + 1) / 2, with (1 + 1)^2 / (1 + 1) degrees of freedom."""
    mean, reach = pooled([[1.0, 3.0], [2.0, 4.0]])
    assert mean == 2.5
    assert reach == pytest.approx(4.302653 * 2**0.5 / 2, rel=1e-6)


def test_one_seed_says_nothing_of_certainty():
    assert pooled([[1.0], [2.0, 4.0]]) == (2.0, float("inf"))


def test_seeds_are_paired_within_their_kind(tmp_path):
    kinds = {
        "near": {"by_stages": {"0": 0.5, "1": 0.75}, "shared": {"0": 0.25, "1": 0.625}},
        "far": {"by_stages": {"0": 0.25, "1": 0.5}, "shared": {"0": 0.5, "1": 0.875}},
    }
    for kind, rows in kinds.items():
        write(tmp_path / kind / "cells", rows)
    found = lines(
        report(take_over([tmp_path / kind / "cells" for kind in kinds], tmp_path / "kept"))
    )
    assert ["by_stages", "62.5", "37.5", "50.0"] in found
    assert ["shared", "43.8", "68.8", "56.2"] in found
    # 25 and 12.5 ahead, 25 and 37.5 behind: of -6.25 the error is sqrt(2 * 6.25^2) / 2.
    assert ["shared", "-6.2", "-25.3 to +12.8"] in found


def test_the_best_rule_of_a_kind_is_chosen_on_its_other_seeds():
    """A rule that is lucky once is best where that does not count."""
    seeds = {
        "0": {"lucky": 90.0, "steady": 50.0},
        "1": {"lucky": 10.0, "steady": 51.0},
        "2": {"lucky": 20.0, "steady": 52.0},
    }
    assert best_elsewhere(seeds, ["lucky", "steady"]) == {"0": 50.0, "1": 10.0, "2": 52.0}


def test_rules_apart_and_trainings_apart_by_hand():
    """What a seed adds to every rule counts for nothing; of the rest, 1 each way for each rule, the
    square's mean is 4 * 1 / ((2 - 1) * (2 - 1)) = 4; that of the rules, 5 each way, is 100."""
    seeds = {"0": {"a": 56.0, "b": 44.0}, "1": {"a": 74.0, "b": 66.0}}
    assert components(seeds, ["a", "b"]) == pytest.approx(((96 / 2) ** 0.5, 2.0))


def test_rules_that_only_chance_tells_apart():
    seeds = {"0": {"a": 1.0, "b": 3.0}, "1": {"a": 3.0, "b": 1.0}}
    assert components(seeds, ["a", "b"])[0] == 0.0


def test_each_kinds_best_rule_against_one_for_all(tmp_path):
    """Each of two kinds has a rule that is 9 and 11 points ahead of the other's: 5 of either for
    all, with an error of sqrt(1 / 2 * 2^2 / 2) / 2 = 0.5 and one degree of freedom."""
    near = {"a": {"0": 0.50, "1": 0.50}, "b": {"0": 0.41, "1": 0.39}}
    write(tmp_path / "near" / "cells", near)
    write(tmp_path / "far" / "cells", {"a": near["b"], "b": near["a"]})
    studies = [tmp_path / "near" / "cells", tmp_path / "far" / "cells"]
    found = lines(report(take_over(studies, tmp_path / "kept")))
    assert ["best rule of each kind minus", "points", "95 % interval"] in found
    for rule in "ab":
        assert [rule, "+5.0", "-1.4 to +11.4"] in found


def test_what_is_kept_grows_by_whole_seeds_and_by_rows(tmp_path):
    study, kept = tmp_path / "near" / "cells", tmp_path / "kept"
    write(study, {"a": {"0": 0.5, "1": 0.25}, "b": {"0": 0.75}})
    assert take_over([study], kept) == {"near": {"0": {"a": 50.0, "b": 75.0}}}
    write(study, {"a": {"0": 0.125, "1": 0.25}, "b": {"0": 0.125, "1": 0.5}})
    grown = {"near": {"0": {"a": 50.0, "b": 75.0}, "1": {"a": 25.0, "b": 50.0}}}
    assert take_over([study], kept) == grown == take_over([], kept)
    write(study, {row: {"0": 0.5} for row in "abc"})
    assert take_over([study], kept)["near"]["0"] == {"a": 50.0, "b": 50.0, "c": 50.0}
    other = tmp_path / "others" / "near" / "cells"
    write(other, {"searched": {"0": 0.25}}, commits=["def", "abc"])
    assert take_over([other], kept)["near"]["0"]["searched"] == 25.0
    assert take_over([], kept)["near"]["0"]["a"] == 50.0
    assert json.loads(kept.read_text())["near"]["0"]["machine"]["commit"] == ["abc", "def"]
    measured_on = json.loads(kept.read_text())["near"]["1"]["machine"]
    assert measured_on["cores"] and measured_on["commit"] == ["abc"]


def test_how_fitness_agrees_with_what_is_trained(tmp_path):
    """Of the three pairs of rules two stand as in the mean of both seeds: tau is 1 / 3. One pair
    is a tie in neither seed, and stands otherwise in the other: there tau is -1 / sqrt(2 * 2)."""
    rows = {"a": {"0": 0.5, "1": 0.5}, "b": {"0": 0.25, "1": 0.5}, "c": {"0": 0.5, "1": 0.0}}
    study, kept = tmp_path / "near" / "cells", tmp_path / "kept"
    write(study, rows)
    take_over([study], kept)
    supernet = {"a": 0.2, "b": 0.3, "c": 0.1, "by_stages": 0.3}
    ranking = {"0": {"architectures": {row: {"supernet": of} for row, of in supernet.items()}}}
    first = {row: {"0": seeds["0"]} for row, seeds in rows.items()}
    write(study, {**first, "by_stages": {"0": 0.25}}, ranking={"seeds": ranking})
    scores = take_over([study], kept)
    kept_fitness = json.loads(kept.read_text())["near"]["0"]["fitness"]
    assert kept_fitness == supernet
    found = lines(report(scores, {"near": {"0": kept_fitness}}))
    assert ["near", "1", "25.0", "41.7", "50.0", "+0.33", "-0.50"] in found

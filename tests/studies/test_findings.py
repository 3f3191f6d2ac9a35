"""What finished cells say together, and how it is told."""

import json
import re
import sys

import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.search_spaces.named_architecture import NetworkChoice
from cmnas_tf.studies.charts import charts_of
from cmnas_tf.studies.findings import MEASURES, findings
from cmnas_tf.studies.report import report
from cmnas_tf.studies.statistics import separate_shares
from tests.studies.small import finish, study

MAIN = "all_single_shot"
SUPERNET = {"searched": 0.7, "shared": 0.6, "random_1": 0.3, "random_2": 0.65, "other": None}


def told(plan):
    """The report, without the spaces that align its tables."""
    return re.sub(" +", " ", report(plan))


def filled(folder):
    """Two seeds of a search, all shared, and two random ones each, with made-up results.

    mAP by seed: searched 0.50, 0.60; shared 0.40, 0.44; random (0.30, 0.50), (0.20, 0.30).
    """
    plan = study(folder, random_architectures=2)
    scores = {
        "searched": [0.5, 0.6],
        "shared": [0.4, 0.44],
        "random_1": [0.3, 0.2],
        "random_2": [0.5, 0.3],
    }
    for cell in plan.cells():
        subject = cell.arm.name == "searched"
        finish(
            cell,
            mean_ap=scores[cell.arm.name][cell.seed],
            chosen=("stem", "layer1.0.bn1") if cell.seed else ("stem",),
            seconds=(40.0 + 20 * cell.seed, 10.0) if subject else (None, 10.0),
            scores={
                "searched": 0.7,
                "shared": 0.6,
                "random_1": 0.3,
                "random_2": 0.65,
                "other": None,
            }
            if subject
            else None,
        )
    return plan


def test_scores_by_row_with_the_mean_of_random_ones(tmp_path):
    """Random: (0.3 + 0.5) / 2 = 0.4 and (0.2 + 0.3) / 2 = 0.25, mean 0.325."""
    found = findings(filled(tmp_path))
    assert found["rows"] == ["shared", "random", "searched"]
    scores = found["scores"][MAIN]["mAP"]
    assert scores["random"]["seeds"] == pytest.approx({0: 0.4, 1: 0.25})
    assert scores["random"]["mean"] == pytest.approx(0.325)
    assert scores["searched"]["seeds"] == {0: 0.5, 1: 0.6}
    assert found["scores"][MAIN]["rank1"]["searched"]["mean"] == pytest.approx(0.65)
    assert found["unfinished"] == {}


def test_differences_are_paired_by_seed(tmp_path):
    """Searched minus shared is 0.10, 0.16; minus random 0.10, 0.35."""
    found = findings(filled(tmp_path))["differences"][MAIN]["mAP"]
    assert found["shared"]["mean"] == pytest.approx(0.13)
    assert found["random"]["mean"] == pytest.approx(0.225)
    assert found["shared"]["adjusted"] >= found["shared"]["t_test"]


def test_what_the_searches_chose_and_cost(tmp_path):
    """Of {stem} and {stem, layer1.0.bn1} one in two is common; the searches took 4 and 6 trainings.

    Of two sets of 1 and 2 among 20 sites, 2/20 of the time the one is in the other: 0.1 * 1/2.
    """
    found = findings(filled(tmp_path))["searches"]["searched"]
    assert found["chosen"] == {0: ["stem"], 1: ["stem", "layer1.0.bn1"]}
    assert found["jaccard"] == pytest.approx(0.5)
    assert found["jaccard_by_chance"] == pytest.approx(0.05)
    assert found["seconds"] == pytest.approx(50.0)
    assert found["trainings"] == pytest.approx(5.0)


def test_the_supernet_is_compared_with_what_was_trained(tmp_path):
    """Seed 0: the supernet says random_1 0.3 < shared 0.6 < random_2 0.65 < searched 0.7; trained
    they are 0.3, 0.4, 0.5, 0.5: five pairs agree, one is a tie: 5 / sqrt(6 * 5). Seed 1: 0.2, 0.44,
    0.3, 0.6: one pair of six disagrees: 4 / 6. What is not in the supernet does not count."""
    found = findings(filled(tmp_path))["ranking"]
    assert set(found["seeds"][0]["architectures"]) == {"searched", "shared", "random_1", "random_2"}
    assert found["seeds"][0]["kendall"] == pytest.approx(5 / 30**0.5)
    assert found["seeds"][1]["kendall"] == pytest.approx(4 / 6)
    assert found["kendall"]["mean"] == pytest.approx((5 / 30**0.5 + 4 / 6) / 2)


def test_the_report_tells_all_of_it(tmp_path):
    plan = filled(tmp_path)
    text = told(plan)
    assert text.startswith(re.sub(" +", " ", (tmp_path / "study.md").read_text()))
    assert "- all_single_shot: mAP +13.0 against `shared`; the 95 % interval -25.1 to +51.1" in text
    assert "| `random` | 2 | 42.5 ± 10.6" in text
    assert "| chance | | 1.0 | 2.0 | 0.5 |" in text
    assert "| `searched` | 1, 2 | 0.50 (0.05) |" in text
    assert "- seed 1: 0.67 of 4" in text
    found = json.loads((tmp_path / "study.json").read_text())
    assert found["schema"] == 1
    assert found["scores"][MAIN]["mAP"]["searched"]["seeds"] == {"0": 0.5, "1": 0.6}
    for name in (f"{MAIN}_rank1", f"{MAIN}_mAP", f"{MAIN}_mINP", "choices", "ranking"):
        assert f"![{name}.png]({name}.png)" in text
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_without_what_draws_pictures_the_report_says_so(tmp_path, monkeypatch):
    plan = filled(tmp_path)
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    assert "There are no pictures: " in told(plan) and '"cmnas_tf[report]"' in told(plan)
    assert not list(tmp_path.glob("*.png"))


def test_the_charts_show_what_was_found(tmp_path):
    """An arm of one seed has a mean, whose interval has no length."""
    plan = filled(tmp_path)
    (plan.cell("shared/seed1").folder / "results.json").unlink()
    drawn = charts_of(findings(plan))
    assert set(drawn) == {*(f"{MAIN}_{m}" for m in MEASURES), "choices", "ranking"}
    seeds, intervals, means = (each["data"]["values"] for each in drawn[f"{MAIN}_mAP"]["layer"])
    assert {"arm": "searched", "score": 60.0, "seed": "1"} in seeds
    alone = {"arm": "shared", "score": 40.0, "low": 40.0, "high": 40.0, "about": False}
    assert alone in means and intervals == means
    chosen = drawn["choices"]["layer"][0]["data"]["values"]
    assert {"decision": "stem", "seed": 0, "probability": 0.9} in chosen
    assert {"decision": "layer1.0.bn1", "seed": 0, "probability": 0.2} in chosen
    (found,) = (
        value
        for value in drawn["ranking"]["layer"][0]["data"]["values"]
        if value["seed"].startswith("0: tau 0.") and value["architecture"] == "random_2"
    )
    assert (found["supernet"], found["trained"]) == (65.0, 50.0)


def test_what_a_stage_is_worth_beside_what_the_search_separated(tmp_path):
    """Separating layer4 costs 10 points, and a seed adds 20; the search separated the stem."""
    plan = study(tmp_path, arms=("shared", "until", "within", "searched"), against=("shared",))
    for cell in plan.cells():
        word = cell.arm.architecture or "until:stem"
        architecture = NetworkChoice(architecture=word, backbone="resnet18").make()
        lost = 0.1 * separate_shares(architecture)["layer4"]
        finish(cell, mean_ap=0.5 + 0.2 * cell.seed - lost, architecture=architecture)
    text = told(plan)
    found = json.loads((tmp_path / "study.json").read_text())["stages"]
    assert found["stages"]["layer4"]["worth"] == pytest.approx(-0.1)
    assert found["stages"]["layer1"]["worth"] == pytest.approx(0.0, abs=1e-9)
    assert {stage: by["separated"] for stage, by in found["stages"].items()} == {
        "stem": 1.0, "layer1": 0.0, "layer2": 0.0, "layer3": 0.0, "layer4": 0.0,
    }  # fmt: skip
    assert found["trainings"] == 20
    assert "| `layer4` | -10.0 | -10.0 to -10.0 | 0% |" in text
    assert (tmp_path / "stages.png").read_bytes().startswith(b"\x89PNG")
    assert "## What separating a stage is worth" not in told(filled(tmp_path / "shared_alone"))


def test_a_small_p_is_not_told_as_none(tmp_path):
    """Ten points more with one seed, ten and a bit with the other."""
    plan = study(tmp_path)
    for cell in plan.cells():
        gain = 0.1 + 1e-6 * cell.seed if cell.arm.name == "searched" else 0.0
        finish(cell, mean_ap=0.5 + gain)
    assert "| mAP | `shared` | +10.0 | +10.0 to +10.0 | < 0.001 | < 0.001 | |" in told(plan)


def test_what_is_not_finished_is_said_and_left_out(tmp_path):
    """A seed that only one of the two has is no pair; of one seed no interval is given."""
    plan = filled(tmp_path)
    missing = plan.cell("shared/seed1")
    (missing.folder / "results.json").unlink()
    (missing.folder / "failure.json").write_text('{"exit_code": 3, "message": "the loss is nan"}')
    text = told(plan)
    assert "- shared/seed1: the loss is nan" in text
    assert "mAP +10.0 against `shared`; one seed says nothing of its certainty" in text
    assert "| `shared` | 1 | 50.0 | 40.0 | 30.0 |" in text


def test_nothing_finished(tmp_path):
    text = told(study(tmp_path))
    assert "- searched/seed0: not begun, or stopped" in text
    assert json.loads((tmp_path / "study.json").read_text())["scores"] == {}


def test_images_that_changed_in_between_are_noticed(tmp_path):
    plan = filled(tmp_path)
    file = tmp_path / "shared" / "seed1" / "results.json"
    file.write_text(file.read_text().replace("f" * 64, "e" * 64))
    with pytest.raises(BadInput, match=r"shared/seed1 and .*searched/seed1 are of different"):
        report(plan)

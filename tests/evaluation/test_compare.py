"""Two results files side by side: their numbers, and every kind of difference in words."""

import json

import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.compare import compare, rows
from cmnas_tf.evaluation.results_file import keep
from cmnas_tf.runs.run_folder import RunFolder
from tests.evaluation.records import record


@pytest.fixture
def compared(tmp_path):
    """Compares the record with a changed one; gives the text in its parts."""

    def run(changes, first=()):
        for name, content in (("A.json", record(first)), ("B.json", record(changes))):
            (tmp_path / name).write_text(json.dumps(content))
        text = compare(str(tmp_path / "A.json"), str(tmp_path / "B.json"))
        return text.replace(f"{tmp_path}/", "").split("\n\n")

    return run


def test_a_file_with_itself(tmp_path):
    """Named by its folder, too."""
    path = tmp_path / "results.json"
    path.write_text(json.dumps(record()))
    assert compare(str(path), str(path)).split("\n\n")[2:] == ["nothing differs"]
    assert compare(str(path), str(tmp_path)).split("\n\n")[2:] == ["nothing differs"]


def test_the_numbers_side_by_side(compared):
    """In percent, and B - A in percentage points."""
    names, table, said = compared(
        {
            ("results", "infrared_to_visible", "rank1"): 0.4567,
            ("results", "infrared_to_visible", "mAP"): 0.25,
        }
    )
    assert names == "A  A.json\nB  B.json"
    assert table.splitlines() == [
        "                            Rank-1  Rank-5  Rank-10  Rank-20     mAP   mINP",
        "---------------------------------------------------------------------------",
        "visible_to_infrared  A       50.00   60.00    70.00    80.00   45.00  30.00",
        "visible_to_infrared  B       50.00   60.00    70.00    80.00   45.00  30.00",
        "visible_to_infrared  B - A   +0.00   +0.00    +0.00    +0.00   +0.00  +0.00",
        "infrared_to_visible  A       40.00   50.00    60.00    70.00   35.00  20.00",
        "infrared_to_visible  B       45.67   50.00    60.00    70.00   25.00  20.00",
        "infrared_to_visible  B - A   +5.67   +0.00    +0.00    +0.00  -10.00  +0.00",
    ]
    assert said == "the results differ, and nothing that is written down beside them"


def test_settings_that_only_one_has(compared):
    """They are shown, and there is nothing to subtract."""
    results = record()["results"]
    del results["infrared_to_visible"]
    _, table, *_ = compared({("results",): results})
    rows = [line.split("  ")[0:2] for line in table.splitlines()[2:]]
    assert [row[1].strip() for row in rows] == ["A", "B", "B - A", "A"]


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("dataset.layout", "llcm", "data set, layout: regdb in A, llcm in B"),
        ("dataset.fingerprint", "0" * 64, "data set, fingerprint: ffffffffffff in A, 000000000000"),
        ("dataset.left_out", ["a", "b"], "data set, left_out: none in A, a, b in B"),
        ("checkpoint.step", 20, "checkpoint, step: 10 in A, 20 in B"),
        ("checkpoint.weights", "live", "checkpoint, weights: average in A, live in B"),
        ("architecture.choices", "0 1 1 0", "architecture, choices: 2 of 4 sites are not the same"),
        ("architecture.backbone", "x", "architecture, backbone: resnet18 in A, x in B"),
        ("training.settings.seed", 1, "training, seed: 0 in A, 1 in B"),
        ("training.settings.decay_epochs", [3.0], "training, decay_epochs: 40.0, 70.0 in A, 3.0"),
        (
            "training.settings.initial_weights",
            "x",
            "training, initial_weights: none in A, x",
        ),
        ("training.settings.new", 0, "training, new: not written down in A, 0 in B"),
        ("training.versions.tensorflow", "2", "training, version of tensorflow: 2.15.1 in A, 2 in"),
        (
            "training.commit",
            f"{'a' * 40}-dirty",
            "training, commit: aaaaaaaaaaaa in A, aaaaaaaa",
        ),
        ("evaluation.commit", None, "evaluation, commit: aaaaaaaaaaaa in A, none in B"),
        ("evaluation.threads", 2, "evaluation, threads: not written down in A, 2 in B"),
        ("evaluation.settings.direction", "x", "evaluation, direction: both in A, x in B"),
    ],
)
def test_each_difference_in_words(compared, place, value, said):
    """And no other one."""
    _, _, text, *_ = compared({tuple(place.split(".")): value})
    title, line = text.split("\n")
    assert title == "what differs:"
    assert line.startswith(f"  {said}")


def test_settings_of_weights_that_were_imported(compared):
    """There are none."""
    none = {("training", part): None for part in ("settings", "versions", "commit")}
    _, _, said, *_ = compared(none)
    assert "  training, seed: 0 in A, not written down in B" in said.splitlines()
    assert compared(none, none)[2] == "nothing differs"


OTHER_NETWORK = {("checkpoint", "sha256"): "d" * 64}
OTHER_RERANK = {("protocol", "rerank"): {"k1": 20}}


@pytest.mark.parametrize(
    ("changes", "warnings"),
    [
        ({("training", "settings", "seed"): 1, **OTHER_NETWORK}, []),
        ({("dataset", "fingerprint"): "0"}, ["not comparable: the test images are not the same"]),
        (
            {("protocol", "direction"): "visible_to_infrared"},
            [r"not comparable: the protocols differ \(direction\)"],
        ),
        (OTHER_RERANK, []),
        ({("protocol", "flip_average"): True, **OTHER_RERANK}, []),
        ({**OTHER_NETWORK, **OTHER_RERANK}, ["the networks differ and so does rerank"]),
        (
            {("dataset", "trial"): 2, ("protocol", "shots"): 10, **OTHER_NETWORK},
            ["the test images are not the same", r"differ \(shots\)"],
        ),
    ],
)
def test_what_is_not_to_be_compared(compared, changes, warnings):
    """The effect of re-ranking on the same network is; with another network it is not to be told
    from the network's."""
    _, _, _, *found = compared(changes)
    assert len(found) == len(warnings)
    for text, expected in zip(found, warnings, strict=True):
        assert text.startswith("warning: ") and expected.replace("\\", "") in text


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "A.json").write_text(json.dumps(record()))
    with pytest.raises(BadInput, match=r"B\.json does not exist"):
        compare(str(tmp_path / "A.json"), str(tmp_path / "B.json"))


LIVE = {("evaluation", "settings", "weights"): "live"}
FLIPPED = {("evaluation", "settings", "flip_average"): True, ("protocol", "flip_average"): True}


@pytest.fixture
def runs(tmp_path):
    """A: both ways of measuring, of two checkpoints; B: one of them, and one of its own."""
    later = {("checkpoint", "step"): 20, ("checkpoint", "sha256"): "d" * 64}
    for name, found in {"A": ({}, FLIPPED, {**FLIPPED, **later}), "B": (LIVE, FLIPPED)}.items():
        for changes in found:
            keep(record(changes), RunFolder(tmp_path / name))
    return str(tmp_path / "A"), str(tmp_path / "B")


def test_runs_with_several_results(runs):
    """What both measured the same way is compared, of the last step; by the files' names."""
    names, _, said, *warnings = compare(*runs).split("\n\n")
    a, b = (line.partition("/results/")[2] for line in names.splitlines())
    assert a.startswith("regdb-trial_1-flip_average-step_20-")
    assert b.startswith("regdb-trial_1-flip_average-step_10-")
    assert "  checkpoint, step: 20 in A, 10 in B" in said and not warnings
    assert compare(runs[0], runs[0]).count("nothing differs") == 2


def test_runs_that_measured_nothing_the_same_way(runs, tmp_path):
    keep(record(), RunFolder(tmp_path / "C"))
    with pytest.raises(BadInput, match="no results that were measured the same way; give two"):
        compare(runs[1], str(tmp_path / "C"))


def test_an_option_that_an_older_version_did_not_know(tmp_path):
    """Counts as its default: Market-1501's results of then and of now may be compared."""
    for name, options in {"old": {}, "new": {"camera_rule": True}}.items():
        content = record({("dataset", "layout"): "market1501"})
        for part in (content["protocol"], content["evaluation"]["settings"]):
            del part["direction"]
            part.update(options)
        (tmp_path / name).write_text(json.dumps(content))
    assert compare(*(str(tmp_path / name) for name in ("old", "new"))).endswith("nothing differs")


def test_all_in_one_table(runs):
    """A line for each setting, with what was chosen; unfinished trainings are marked, and how many
    queries count where not all do."""
    trials = {
        "one": {"queries": 4, "skipped_queries": 0},
        "two": {"queries": 3, "skipped_queries": 1},
    }
    changes = {
        ("training", "planned_steps"): 532,
        ("results", "visible_to_infrared", "trials"): trials,
    }
    keep(record(changes), RunFolder(runs[1]))
    head, *found = rows(runs)
    assert head[:4] == ["run", "measured on", "setting", "step"] and head[-2:] == [
        "mINP",
        "queries",
    ]
    assert len(found) == 2 * 3 + 2 * 3
    assert found[-4][:5] == [runs[1], "regdb, trial 1", "visible_to_infrared",
                             "10 of 532, unfinished", "50.00"]  # fmt: skip
    assert found[-4][-1] == "3 of 4"
    assert {line[1] for line in found} == {
        "regdb, trial 1", "regdb, trial 1, flip_average", "regdb, trial 1, weights live"
    }  # fmt: skip

"""Results files that can be read, and those that are refused by name."""

import json

import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.results_file import (
    SCHEMA,
    keep,
    kind_of,
    read_all,
    read_results,
    results_files,
    step_of,
)
from cmnas_tf.runs.run_folder import RunFolder
from tests.evaluation.records import record


def test_reads_what_an_evaluation_writes(tmp_path):
    """By the file's name and by the folder of its run."""
    (tmp_path / "results.json").write_text(json.dumps(record()))
    for path in (tmp_path / "results.json", str(tmp_path / "results.json"), tmp_path):
        assert read_results(path) == record()


def without(*keys):
    """A record that lacks a key somewhere."""
    content = inner = record()
    for key in keys[:-1]:
        inner = inner[key]
    del inner[keys[-1]]
    return json.dumps(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a results file"),
        ('{"schema": 1, "results"', "is not a results file"),
        ("\0\xff", "is not a results file"),
        ("[]", "is not a results file"),
        ('{"backbone": "resnet50", "choices": {}}', "is not a results file"),
        (without("schema"), f"has schema 0, and this program reads schema {SCHEMA}"),
        (json.dumps({**record(), "schema": SCHEMA + 1}), f"has schema {SCHEMA + 1}, and"),
        (without("dataset"), r".* \(dataset is missing\)"),
        (without("training", "commit"), r"is not a whole .* \(commit is missing\)"),
        (without("results", "infrared_to_visible", "rank20"), r".* \(rank20 is missing\)"),
        (json.dumps({**record(), "protocol": []}), r".* \(protocol must be dict, not \[\]\)"),
        (json.dumps({**record(), "results": {"all": 3}}), r".* \(all must be dict, not 3\)"),
    ],
)
def test_files_that_are_refused(tmp_path, content, message):
    path = tmp_path / "some.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(BadInput, match=rf"some\.json {message}"):
        read_results(path)


def test_no_file(tmp_path):
    with pytest.raises(BadInput, match=r"none\.json does not exist; .*results\.json"):
        read_results(tmp_path / "none.json")
    with pytest.raises(BadInput, match=rf"{tmp_path}/results\.json does not exist"):
        read_results(tmp_path)


ONE_WAY = {("evaluation", "settings", "direction"): "infrared_to_visible"}
# By the words of their files' names: each measures something else.
DIFFERENT = {
    "regdb-trial_1-step_10": {},
    "regdb-trial_1-direction_infrared_to_visible-step_10": ONE_WAY,
    "regdb-trial_1-flip_average-step_10": {("evaluation", "settings", "flip_average"): True},
    "regdb-trial_1-rerank-rerank_k1_5-step_10": {
        ("evaluation", "settings", "rerank"): True,
        ("evaluation", "settings", "rerank_k1"): 5,
    },
    "regdb-trial_1-weights_live-step_10": {("evaluation", "settings", "weights"): "live"},
    "regdb-trial_2-step_10": {("dataset", "trial"): 2},
    "regdb-trial_1-step_20": {("checkpoint", "step"): 20, ("checkpoint", "sha256"): "d" * 64},
    "llcm-step_10": {("dataset", "layout"): "llcm"},
}


def test_each_evaluation_has_a_file_of_its_own(tmp_path):
    """Named by what was chosen; other images, or other weights of the same step, too have one."""
    run = RunFolder(tmp_path)
    for name, changes in DIFFERENT.items():
        said = keep(record(changes), run)
        assert said.startswith(f"written to {run.results_folder / name}-")
        assert read_results(run.results) == record(changes)  # the newest
    for place in (("dataset", "fingerprint"), ("checkpoint", "sha256")):
        keep(record({place: "0" * 64}), run)
    assert len(read_all(tmp_path)) == len(list(run.results_folder.iterdir())) == len(DIFFERENT) + 2


def test_the_same_evaluation_takes_its_own_place_and_says_so(tmp_path):
    """And whether its scores are the same, whoever computed them."""
    run = RunFolder(tmp_path)
    first = keep(record(), run)
    keep(record(ONE_WAY), run)
    again = keep(record({("evaluation", "commit"): "f" * 40}), run)
    assert (
        again == f"{first} in place of an earlier evaluation of the same; its scores are the same"
    )
    other = {("results", "visible_to_infrared", "mAP"): 0.5}
    assert keep(record(other), run).endswith("of the same; its scores differ")
    assert sorted(found["results"]["visible_to_infrared"]["mAP"]
                  for found in read_all(tmp_path).values()) == [0.45, 0.5]  # fmt: skip


def test_what_an_earlier_version_wrote_stays_and_is_read(tmp_path):
    """Byte for byte, beside newer ones; it knew options of all data sets, and not all of today's.
    The same evaluation is listed once."""
    run = RunFolder(tmp_path)
    old = {
        ("evaluation", "settings", "mode"): "all",
        ("evaluation", "settings", "skip_unreadable"): False,
    }
    run.results.write_text(json.dumps(record(old)))
    before = run.results.read_bytes()
    assert read_all(tmp_path) == {run.results: record(old)}
    keep(record(ONE_WAY), run)
    assert results_files(run)[0] == run.results
    assert [kind_of(found) for found in read_all(tmp_path).values()] == [
        ("regdb", "trial 1"),
        ("regdb", "trial 1", "direction infrared_to_visible"),
    ]
    keep(record(), run)
    assert len(results_files(run)) == 3 and len(read_all(tmp_path)) == 2
    assert run.results not in read_all(tmp_path)
    assert run.results.read_bytes() == before


def test_results_of_a_training_that_was_not_finished():
    """Known where the run says how many steps it takes."""
    assert step_of(record()) == "10"
    assert step_of(record({("training", "planned_steps"): 10})) == "10"
    assert step_of(record({("training", "planned_steps"): 532})) == "10 of 532, unfinished"

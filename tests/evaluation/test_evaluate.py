"""An evaluation of a tiny network on a tiny tree: what is written and what is shown."""

import json

import pytest
import tensorflow as tf
from cmnas_tf.settings import (
    Checkpoint,
    Data,
    Evaluate,
    Matching,
    Progress,
    Protocol,
    Run,
)
from tensorflow import keras

from cmnas_tf.architecture import Architecture
from cmnas_tf.data import load_dataset
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.evaluate import evaluate
from cmnas_tf.evaluation.results_file import SCHEMA, read_results
from cmnas_tf.models.specification import Specification
from cmnas_tf.runs.checkpoints import Checkpoints
from cmnas_tf.runs.provenance import commit
from cmnas_tf.training.train import SPECIFICATION
from tests.tiny_people import write_people

ARCHITECTURE = Architecture.separate_until("layer1", "resnet18")
QUIET = Progress(progress=False)
TRAINED = {
    "settings": {"seed": 5, "dataset": "regdb", "trial": 2},
    "versions": {"tensorflow": "2.15.0"},
    "commit": "c" * 40,
    "devices": 2,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """RegDB with 2 + 4 people."""
    root = tmp_path_factory.mktemp("data") / "regdb"
    return write_people(root, dataset="regdb", train_identities=2)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run of a network that was not trained; its live weights are all 1."""
    folder = tmp_path_factory.mktemp("run")
    specification = Specification(ARCHITECTURE, 2, 32, 16, 1, 0.0625)
    keras.utils.set_random_seed(0)
    paths = specification.build().get_weight_paths()
    ones = {name: tf.Variable(tf.ones_like(variable)) for name, variable in paths.items()}
    Checkpoints(folder / "checkpoints").save(
        3,
        {"average": paths, "network": ones},
        {SPECIFICATION: specification.to_json(), **TRAINED},
    )
    return folder


@pytest.fixture(scope="module")
def evaluated(data, run_dir):
    """What is shown, and what is written."""
    shown = evaluate(
        Evaluate(
            run=Run(run_dir=str(run_dir)),
            data=Data(data_dir=str(data), dataset="regdb", trial=2),
            matching=Matching(embed_batch=5),
            progress=QUIET,
        )
    )
    return shown, json.loads((run_dir / "results.json").read_text())


def test_results_say_what_was_measured_of_what(evaluated, data, run_dir):
    _, results = evaluated
    assert results["dataset"] == {
        "layout": "regdb",
        "trial": 2,
        "fingerprint": load_dataset("regdb", data, 2).fingerprint,
        "left_out": [],
    }
    assert results["schema"] == SCHEMA
    assert results["protocol"] == {"direction": "both", "flip_average": False, "rerank": None}
    newest = Checkpoints(run_dir / "checkpoints").newest()
    assert results["checkpoint"] == {
        "file": str(newest.path),
        "step": 3,
        "sha256": newest.digest,
        "weights": "average",
    }
    assert results["architecture"] == {"backbone": "resnet18", "choices": ARCHITECTURE.to_cfg()}
    assert results["training"] == TRAINED
    evaluation = results["evaluation"]
    assert set(evaluation["versions"]) >= {"cmnas_tf", "tensorflow", "numpy"}
    assert evaluation["commit"] == commit()
    measured_with = {"direction": "both", "rerank": False, "weights": "average", "trial": 2}
    assert measured_with.items() <= evaluation["settings"].items()
    assert read_results(run_dir / "results.json") == results


def test_results_have_every_direction_and_its_chance(evaluated):
    _, results = evaluated
    directions = {"visible_to_infrared", "infrared_to_visible"}
    assert set(results["results"]) == set(results["chance"]) == directions
    for part in (results["results"], results["chance"]):
        for measured in part.values():
            assert set(measured) == {"rank1", "rank5", "rank10", "rank20", "mAP", "mINP", "trials"}
            assert 0 < measured["mINP"] <= 1
            assert 0 < measured["mAP"] <= 1
            assert measured["rank1"] <= measured["rank5"] <= measured["rank10"] == 1.0


def test_the_table_shows_the_same_numbers(evaluated, run_dir):
    shown, results = evaluated
    lines = shown.splitlines()
    assert lines[0] == (
        "regdb, trial 2, direction both, flip_average off, rerank off; "
        "average weights of step-00000003.safetensors"
    )
    assert lines[-1] == f"written to {run_dir / 'results.json'}"
    rows = {line.rsplit(maxsplit=7)[0]: line.split()[-7:] for line in lines[3:-1]}
    for prefix, part in (("", "results"), ("chance, ", "chance")):
        for setting, measured in results[part].items():
            names = ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP")
            expected = [f"{100 * measured[name]:.2f}" for name in names]
            assert rows.pop(prefix + setting) == [*expected, "1"]
    assert not rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("matching", "protocol", "described"),
    [
        ({"flip_average": True}, {"flip_average": True}, "flip_average on, rerank off"),
        (
            {"rerank": True, "rerank_k1": 3, "rerank_k2": 2, "rerank_lambda": 0.5},
            {"rerank": {"k1": 3, "k2": 2, "lambda_value": 0.5, "distance": "squared_euclidean"}},
            "flip_average off, rerank k1 3 k2 2 lambda_value 0.5 distance squared_euclidean",
        ),
    ],
    ids=["flip_average", "rerank"],
)
def test_flipping_and_re_ranking_change_results_and_nothing_else(
    evaluated, data, run_dir, tmp_path, matching, protocol, described
):
    """They are named in the file and on the screen."""
    _, expected = evaluated
    shown = evaluate(
        Evaluate(
            run=Run(run_dir=str(tmp_path)),
            data=Data(data_dir=str(data), dataset="regdb", trial=2),
            checkpoint=Checkpoint(checkpoint=expected["checkpoint"]["file"]),
            matching=Matching(embed_batch=5, **matching),
            progress=QUIET,
        )
    )
    assert f"direction both, {described}; average" in shown
    found = read_results(tmp_path / "results.json")
    assert found.pop("results") != expected["results"]
    settings = {**matching, "checkpoint": expected["checkpoint"]["file"]}
    evaluation = expected["evaluation"]
    assert found == {
        **{part: value for part, value in expected.items() if part != "results"},
        "protocol": {**expected["protocol"], **protocol},
        "evaluation": {**evaluation, "settings": {**evaluation["settings"], **settings}},
    }


def test_another_trial_than_it_was_trained_on_is_refused(data, run_dir):
    """Its test people were trained on."""
    with pytest.raises(BadInput, match=r"trained on trial 2 of regdb.* --trial=1\. Give --trial=2"):
        evaluate(
            Evaluate(
                run=Run(run_dir=str(run_dir)),
                data=Data(data_dir=str(data), dataset="regdb"),
                progress=QUIET,
            )
        )


@pytest.fixture
def truncated(data):
    """A test image of trial 2 that ends too early; its path in the data set."""
    path = (data / "idx" / "test_thermal_2.txt").read_text().split()[0]
    content = (data / path).read_bytes()
    (data / path).write_bytes(content[:100])
    yield path
    (data / path).write_bytes(content)


def test_an_unreadable_image_is_left_out_when_asked(data, run_dir, tmp_path, truncated):
    """And named in the results, which go to --run_dir; here those of the live weights."""
    checkpoint = str(run_dir / "checkpoints" / "step-00000003.safetensors")
    evaluate(
        Evaluate(
            run=Run(run_dir=str(tmp_path / "results")),
            data=Data(data_dir=str(data), dataset="regdb", trial=2, skip_unreadable=True),
            checkpoint=Checkpoint(checkpoint=checkpoint, weights="live"),
            protocol=Protocol(direction="infrared_to_visible"),
            progress=QUIET,
        )
    )
    results = json.loads((tmp_path / "results" / "results.json").read_text())
    assert results["dataset"]["left_out"] == [truncated]
    assert results["checkpoint"]["weights"] == "live"
    assert list(results["results"]) == ["infrared_to_visible"]


def test_nothing_is_written_when_it_is_not_to_be_left_out(data, run_dir, tmp_path, truncated):
    checkpoint = str(run_dir / "checkpoints" / "step-00000003.safetensors")
    with pytest.raises(BadInput, match=f"{truncated}: not a complete"):
        evaluate(
            Evaluate(
                run=Run(run_dir=str(tmp_path / "results")),
                data=Data(data_dir=str(data), dataset="regdb", trial=2),
                checkpoint=Checkpoint(checkpoint=checkpoint),
                progress=QUIET,
            )
        )
    assert list(tmp_path.iterdir()) == []


def test_re_ranking_that_does_not_fit_is_refused_before_anything_is_embedded(
    data, run_dir, tmp_path, monkeypatch, truncated
):
    """Or the image that cannot be read would be named."""
    monkeypatch.setattr("cmnas_tf.retrieval.rerank.available_memory", lambda: 1000)
    checkpoint = str(run_dir / "checkpoints" / "step-00000003.safetensors")
    with pytest.raises(BadInput, match=r"8 queries and 8 gallery images takes .* 1,000 are"):
        evaluate(
            Evaluate(
                run=Run(run_dir=str(tmp_path)),
                data=Data(data_dir=str(data), dataset="regdb", trial=2),
                checkpoint=Checkpoint(checkpoint=checkpoint),
                matching=Matching(rerank=True),
                progress=QUIET,
            )
        )
    assert list(tmp_path.iterdir()) == []

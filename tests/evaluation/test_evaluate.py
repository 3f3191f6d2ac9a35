"""An evaluation of a tiny network on a tiny tree: what is measured, recorded and shown."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.architecture import Architecture
from cmnas_tf.data import load_dataset
from cmnas_tf.data.pipeline import ImageSource
from cmnas_tf.data.regdb import RegdbProtocol
from cmnas_tf.data.sysu_mm01 import SysuProtocol
from cmnas_tf.data.verify import readable
from cmnas_tf.devices.threads import threads_in_use
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.evaluate import evaluate_network
from cmnas_tf.evaluation.matching import Matching
from cmnas_tf.evaluation.results_file import SCHEMA, read_results
from cmnas_tf.models.specification import Specification
from cmnas_tf.retrieval.embed import embed
from cmnas_tf.retrieval.measure import measure
from cmnas_tf.runs.checkpoints import Checkpoints
from cmnas_tf.runs.provenance import commit
from cmnas_tf.training.trained import SPECIFICATION, load_network
from tests.runs.saving import save
from tests.tiny_people import write_people

pytestmark = pytest.mark.usefixtures("one_block_throughout")

MEASURES = ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP")
TRAINED = {
    "settings": {"seed": 5, "dataset": "regdb", "trial": 2},
    "versions": {"tensorflow": "2.15.0"},
    "commit": "c" * 40,
    "devices": 2,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """RegDB with 2 + 4 people."""
    root = tmp_path_factory.mktemp("data") / "regdb"
    return write_people(root, dataset="regdb", train_identities=2)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run of a network that was not trained; its live weights are all 1."""
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, tiny_network())
    return folder


def tiny_network():
    """Of two classes; each modality has norms of its own."""
    return Specification(Architecture.separate("resnet18"), 2, 32, 16, 1, 0.125)


def write_run(folder, specification, trained=TRAINED):
    keras.utils.set_random_seed(0)
    paths = specification.build().get_weight_paths()
    ones = {name: tf.Variable(tf.ones_like(variable)) for name, variable in paths.items()}
    save(
        folder / "checkpoints",
        3,
        {"average": paths, "network": ones},
        {SPECIFICATION: specification.to_json(), **trained},
    )


@pytest.fixture(scope="module")
def dataset(root):
    return load_dataset("regdb", root, 2)


@pytest.fixture(scope="module")
def scores(dataset, run_dir):
    """Of the averaged weights, by the data set's own protocol."""
    return measured(run_dir, dataset)


def measured(run_dir, dataset, weights="average", protocol=None, **matching):
    matching = Matching(embed_batch=5, **matching)
    model = load_network(run_dir, weights)
    return evaluate_network(model, dataset, protocol, matching, progress=False)


def test_the_record_says_what_was_measured_of_what(scores, dataset, run_dir):
    record = scores.record
    assert record["schema"] == SCHEMA
    assert record["dataset"] == {
        "layout": "regdb",
        "trial": 2,
        "fingerprint": dataset.fingerprint,
        "left_out": [],
    }
    assert record["protocol"] == {"direction": "both", "flip_average": False, "rerank": None}
    newest = Checkpoints(run_dir / "checkpoints").newest()
    assert record["checkpoint"] == {
        "file": str(newest.path),
        "step": 3,
        "sha256": newest.digest,
        "weights": "average",
    }
    assert record["architecture"] == {"backbone": "resnet18", "choices": "0 0 0"}
    assert record["training"] == {**TRAINED, "planned_steps": None}
    evaluation = record["evaluation"]
    assert set(evaluation["versions"]) >= {"cmnas_tf", "tensorflow", "numpy"}
    assert evaluation["commit"] == commit()
    assert evaluation["threads"] == threads_in_use() > 0
    measured_with = {
        **{"direction": "both", "rerank": False, "weights": "average", "trial": 2},
        **{"dataset": "regdb", "precision": "float32"},
    }
    assert measured_with.items() <= evaluation["settings"].items()
    assert "embed_batch" not in evaluation["settings"]  # nothing follows from it


def test_what_is_saved_is_read_again(scores, tmp_path):
    scores.save(tmp_path / "results.json")
    assert read_results(tmp_path) == json.loads(json.dumps(scores.record))
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_every_direction_and_its_chance(scores):
    directions = {"visible_to_infrared", "infrared_to_visible"}
    assert set(scores) == set(scores.measured) == set(scores.chance) == directions
    assert set(scores.record["results"]) == set(scores.record["chance"]) == directions
    for part in (scores.record["results"], scores.record["chance"]):
        for found in part.values():
            assert set(found) == {*MEASURES, "trials"}
            assert 0 < found["mINP"] <= 1
            assert 0 < found["mAP"] <= 1
            assert found["rank1"] <= found["rank5"] <= found["rank10"] == 1.0


def test_scores_are_a_mapping_with_means_over_the_settings(scores):
    assert len(scores) == 2 and "no_such_setting" not in scores
    for name in ("rank1", "mAP", "mINP"):
        each = [found.values[name] for found in scores.values()]
        assert getattr(scores, name) == pytest.approx(sum(each) / 2)
        assert [record[name] for record in scores.record["results"].values()] == each
    assert scores["visible_to_infrared"] is scores.measured["visible_to_infrared"]


def test_the_table_shows_the_same_numbers(scores):
    lines = str(scores).splitlines()
    assert lines[0] == (
        "regdb, trial 2, direction both, flip_average off, rerank off; "
        "average weights of step-00000003.safetensors"
    )
    rows = {line.rsplit(maxsplit=7)[0]: line.split()[-7:] for line in lines[3:]}
    for prefix, part in (("", "results"), ("chance, ", "chance")):
        for setting, found in scores.record[part].items():
            expected = [f"{100 * found[name]:.2f}" for name in MEASURES]
            assert rows.pop(prefix + setting) == [*expected, "1"]
    assert not rows


def test_it_is_what_the_embeddings_of_the_network_measure(scores, dataset, run_dir):
    """The network's embeddings of the test images, measured on their own."""
    model = load_network(run_dir)
    source = ImageSource(dataset.test, Path(dataset.root), 32, 16)
    for own in measure(embed(model.network, source, 5), dataset):
        assert own.values == scores[own.setting].values


def test_on_several_devices_it_is_the_same(scores, dataset, run_dir, two_replicas):
    """The very numbers; the network is made in the devices' scope."""
    with two_replicas.scope():
        model = load_network(run_dir)
    matching = Matching(embed_batch=5)
    found = evaluate_network(model, dataset, None, matching, devices=two_replicas, progress=False)
    assert found.record == scores.record


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
    scores, dataset, run_dir, matching, protocol, described
):
    """They are named in the record and on the screen."""
    again = measured(run_dir, dataset, **matching)
    assert f"direction both, {described}; average" in str(again)
    found, expected = dict(again.record), dict(scores.record)
    assert found.pop("results") != expected.pop("results")
    evaluation = expected["evaluation"]
    assert found == {
        **expected,
        "protocol": {**expected["protocol"], **protocol},
        "evaluation": {**evaluation, "settings": {**evaluation["settings"], **matching}},
    }


def test_a_protocol_of_ones_choice(run_dir, dataset):
    """Here of the live weights."""
    found = measured(run_dir, dataset, "live", RegdbProtocol("infrared_to_visible"))
    assert list(found) == list(found.record["results"]) == ["infrared_to_visible"]
    assert found.record["checkpoint"]["weights"] == "live"
    assert found.record["protocol"]["direction"] == "infrared_to_visible"
    assert found.record["evaluation"]["settings"]["direction"] == "infrared_to_visible"


def test_a_protocol_of_other_images(run_dir, dataset):
    with pytest.raises(BadInput, match=r"regdb is tested by RegdbProtocol"):
        measured(run_dir, dataset, protocol=SysuProtocol())


def test_another_trial_than_it_was_trained_on_is_refused(root, run_dir):
    """Its test people were trained on."""
    with pytest.raises(BadInput, match=r"trained on trial 2 of regdb.* trial=1\. Give trial=2"):
        measured(run_dir, load_dataset("regdb", root, 1))


def test_images_of_a_modality_that_it_was_not_trained_on(dataset, tmp_path):
    """A network of visible images alone cannot be asked about infrared ones."""
    size = Specification(
        Architecture.shared("resnet18"), 2, 32, 16, 1, 0.0625, modalities=("visible",)
    )
    write_run(tmp_path, size, {})
    with pytest.raises(BadInput, match=r"trained on visible images only, so modality=infrared"):
        measured(tmp_path, dataset)


@pytest.fixture
def truncated(root):
    """A test image of trial 2 that ends too early; its path in the data set."""
    path = (root / "idx" / "test_thermal_2.txt").read_text().split()[0]
    content = (root / path).read_bytes()
    (root / path).write_bytes(content[:100])
    yield path
    (root / path).write_bytes(content)


def test_an_unreadable_image_is_left_out_when_asked(dataset, run_dir, truncated):
    """And named in the results."""
    found = measured(run_dir, readable(dataset, "test"))
    assert found.record["dataset"]["left_out"] == [truncated]
    assert found.record["dataset"]["fingerprint"] != dataset.fingerprint


def test_an_unreadable_image_is_named_when_it_is_not_to_be_left_out(dataset, run_dir, truncated):
    with pytest.raises(BadInput, match=f"{truncated}: not a complete"):
        measured(run_dir, dataset)


def test_re_ranking_that_does_not_fit_is_refused_before_anything_is_embedded(
    dataset, run_dir, monkeypatch, truncated
):
    """Or the image that cannot be read would be named."""
    monkeypatch.setattr("cmnas_tf.retrieval.rerank.available_memory", lambda: 1000)
    with pytest.raises(BadInput, match=r"8 queries and 8 gallery images takes .* 1,000 are"):
        measured(run_dir, dataset, rerank=True)


def test_half_precision_is_that_of_the_network(dataset, run_dir):
    """Recorded, and near to the whole one."""
    model = load_network(run_dir, precision="bfloat16")
    found = evaluate_network(model, dataset, matching=Matching(embed_batch=5), progress=False)
    assert found.record["evaluation"]["settings"]["precision"] == "bfloat16"
    source = ImageSource(dataset.test, Path(dataset.root), 32, 16)
    whole = embed(load_network(run_dir).network, source, 5)
    assert np.sum(embed(model.network, source, 5) * whole, axis=1) == pytest.approx(1, abs=0.02)

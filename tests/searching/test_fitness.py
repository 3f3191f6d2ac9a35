"""What a supernet says of architectures, against the derived networks with its weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.architecture import Architecture
from cmnas_tf.data import Image, Images, load_dataset
from cmnas_tf.data.pipeline import ImageSource, Share
from cmnas_tf.data.split import split_train
from cmnas_tf.errors import BadInput
from cmnas_tf.models import two_stream
from cmnas_tf.retrieval.embed import embed
from cmnas_tf.retrieval.fitness import Fitness, few_of_each
from cmnas_tf.retrieval.fitness import fitness as of_people
from cmnas_tf.retrieval.ranking import rank
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.searching import Darts, fitness
from cmnas_tf.searching.fitness import supernet_scores
from cmnas_tf.training.inputs import TrainingImages
from tests.searching.small import SMALL, SPACE, find
from tests.tiny_people import write_people

BATCHES = 3


def images(rows):
    return Images.of(Image(f"{n}.jpg", *row) for n, row in enumerate(rows))


def test_mean_ap_by_hand():
    """Infrared images of persons 1 and 2 ask; visible ones of 1, 2, 1 answer.

    The first finds 1, 2, 1 (precision 1 and 2/3: 5/6), the second finds 1, 1, 2 (1/3): 7/12. Under
    SYSU-MM01's rule camera 3 does not see camera 2, so the second finds 1, 2 (1/2): 2/3.
    """
    table = images(
        [
            (1, 1, "visible"),
            (2, 1, "visible"),
            (1, 2, "visible"),
            (1, 1, "infrared"),
            (2, 3, "infrared"),
        ]
    )
    embeddings = np.array([[1, 0.5], [0.8, 0.4], [0.6, 0.45], [1, 0], [0, 1]], np.float32)
    assert Fitness.of(embeddings, table, "sysu").mean_ap == pytest.approx(2 / 3)
    found = Fitness.of(embeddings, table, "regdb")
    assert found.mean_ap == pytest.approx(7 / 12)
    assert found.rank1 == 0.5
    np.testing.assert_allclose(found.precisions, [5 / 6, 1 / 3])
    assert found.queries.tolist() == [1, 1]


def test_mean_ap_of_one_modality_by_hand():
    """All ask all, but for images of the same person from the same camera, themselves among them.

    Person 1, cameras 1 and 2, at 0 and 10 degrees; person 2 at 5 and 90. The first finds 2 (5),
    1 (10), 2 (90): 1/2. The second 2 (5 away), 1 (10), 2 (80): 1/2. The third 1, 1 (5 away both),
    2: 1/3. The fourth 1 (80), 2 (85), 1 (90): 1/2.
    """
    table = images([(1, 1, "visible"), (1, 2, "visible"), (2, 1, "visible"), (2, 2, "visible")])
    angles = np.radians([0.0, 10.0, 5.0, 90.0])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = Fitness.of(embeddings, table, "regdb")
    assert found.mean_ap == pytest.approx(np.mean([1 / 2, 1 / 2, 1 / 3, 1 / 2]))
    np.testing.assert_allclose(found.precisions, [1 / 2 + 1 / 2, 1 / 3 + 1 / 2])
    assert found.queries.tolist() == [2, 2]


def test_the_fitness_of_a_network_is_that_of_its_embeddings(tmp_path):
    """Of all images of the source, whatever part of it goes through at a time."""
    people = load_dataset("sysu_mm01", write_people(tmp_path / "people", images_per_camera=1))
    keras.utils.set_random_seed(0)
    network = two_stream(Architecture.separate("resnet18"), 3, "resnet18", width=1 / 16)
    source = ImageSource(people.test, people.root, 32, 16)
    expected = Fitness.of(embed(network, source, 7), people.test, "sysu").mean_ap
    assert of_people(network, source, "sysu").mean_ap == pytest.approx(expected, abs=1e-6)
    assert 0 < expected <= 1


def test_the_standard_error_of_a_difference():
    """By bootstrap over people: 0 for equals; that of a mean where all have equally many queries.

    Of 400 people half gain 0.1 and half lose 0.1: sqrt(0.01 / 400) = 0.005.
    """
    gains = np.tile([0.1, -0.1], 200)
    queries = np.full(400, 2)
    one = Fitness(0.5, 0.5, np.full(400, 1.0), queries)
    other = Fitness(0.5, 0.5, 1.0 - 2 * gains, queries)
    assert one.standard_error_to(one) == 0
    assert one.standard_error_to(other) == pytest.approx(0.005, rel=0.1)
    assert one.standard_error_to(other) == one.standard_error_to(other)
    again = Fitness.from_json(json.loads(json.dumps(other.to_json())))
    assert again.mean_ap == other.mean_ap and again.rank1 == other.rank1
    np.testing.assert_array_equal(again.precisions, other.precisions)
    np.testing.assert_array_equal(again.queries, queries)


def test_at_most_four_images_of_a_person_from_a_camera():
    table = images([(person, camera, "visible") for person in (1, 2) for camera in [1] * 6 + [2]])
    assert few_of_each(table).paths.tolist() == [
        f"{n}.jpg" for n in (0, 1, 2, 3, 6, 7, 8, 9, 10, 13)
    ]


@pytest.mark.slow
def test_scores_are_those_of_the_derived_networks(one_block, tmp_path, monkeypatch):
    """With the supernet's weights and with running statistics of the same batches; each score is
    the same whatever was asked before."""
    monkeypatch.setattr(fitness, "_STATISTICS_BATCHES", BATCHES)
    people = load_dataset("sysu_mm01", write_people(tmp_path / "people"))
    darts = Darts(epochs=2, warmup_epochs=1).with_values(**SMALL)
    found = find(people, darts, tmp_path / "search")
    device = tf.distribute.OneDeviceStrategy("CPU:0")
    wanted = {
        "stem": Architecture.separate_until("stem", "resnet18"),
        "separate": Architecture.separate("resnet18"),
        "another": Architecture.shared("resnet34"),
    }

    def scores_of(wanted, run=found.run):
        return supernet_scores(people, SPACE, darts, wanted, run, seed=0, devices=device)

    scores = scores_of(wanted)
    assert scores["another"] is None
    again = scores_of({"separate": wanted["separate"]})
    assert again["separate"] == pytest.approx(scores["separate"], abs=1e-6)
    with pytest.raises(BadInput, match=rf"{tmp_path}/none holds no checkpoint of a search"):
        scores_of(wanted, RunFolder(tmp_path / "none"))

    training = TrainingImages(people, darts, seed=0)
    split = split_train(people.train, "within_identity", 0)
    batches = training.batches(training.sampler(split.weights, 3), 0, BATCHES, Share(0, 1, 1))
    tensors = found.run.newest().tensors
    asking = split.architecture.modalities == "infrared"
    pids, cameras = split.architecture.pids, split.architecture.cameras
    for name in ("stem", "separate"):
        derived = two_stream(wanted[name], len(training.pids), "resnet18", width=1 / 16)
        for path, weight in derived.get_weight_paths().items():
            weight.assign(tensors[f"network/{path}"])
        moving = [w for path, w in derived.get_weight_paths().items() if "moving_" in path]
        for weight in moving:
            weight.assign(tf.zeros_like(weight))
        for batch in batches:
            derived(batch.images, training=True)
        for weight in moving:
            weight.assign(weight / (1 - 0.9**BATCHES))
        source = ImageSource(split.architecture, Path(people.root), 32, 16)
        found_of = embed(derived, source, 7)
        distances = 1 - found_of[asking] @ found_of[~asking].T
        labels = pids[asking], pids[~asking], cameras[asking], cameras[~asking]
        assert scores[name] == pytest.approx(rank(distances, *labels, "sysu").mean_ap, abs=2e-3)
    assert scores["stem"] != scores["separate"]

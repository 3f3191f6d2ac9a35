"""What a supernet says of architectures, against the derived networks with its weights."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from cmnas_tf import architecture
from cmnas_tf.architecture import Architecture
from cmnas_tf.data import Image, Images, load_dataset
from cmnas_tf.data.pipeline import ImageSource, Share
from cmnas_tf.data.split import split_train
from cmnas_tf.errors import BadInput
from cmnas_tf.models import two_stream
from cmnas_tf.retrieval.embed import embed
from cmnas_tf.retrieval.ranking import rank
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.searching import Darts, fitness
from cmnas_tf.searching.fitness import mean_average_precision, supernet_scores
from cmnas_tf.training.inputs import TrainingImages
from tests.searching.small import ONE_BLOCK, SMALL, SPACE, find
from tests.tiny_people import write_people

BATCHES = 3


def images(rows):
    return Images.of(Image(f"{n}.jpg", *row) for n, row in enumerate(rows))


def test_mean_ap_by_hand():
    """Infrared images of persons 1 and 2 ask; visible ones of 1, 2, 1 answer, whatever the camera.

    The first finds 1, 2, 1 (precision 1 and 2/3: 5/6), the second finds 1, 1, 2 (1/3): 7/12.
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
    assert mean_average_precision(embeddings, table) == pytest.approx(7 / 12)


def test_mean_ap_of_one_modality_by_hand():
    """All ask all, but for images of the same person from the same camera, themselves among them.

    Person 1, cameras 1 and 2, at 0 and 10 degrees; person 2 at 5 and 90. The first finds 2 (5),
    1 (10), 2 (90): 1/2. The second 2 (5 away), 1 (10), 2 (80): 1/2. The third 1, 1 (5 away both),
    2: 1/3. The fourth 1 (80), 2 (85), 1 (90): 1/2.
    """
    table = images([(1, 1, "visible"), (1, 2, "visible"), (2, 1, "visible"), (2, 2, "visible")])
    angles = np.radians([0.0, 10.0, 5.0, 90.0])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    expected = np.mean([1 / 2, 1 / 2, 1 / 3, 1 / 2])
    assert mean_average_precision(embeddings, table) == pytest.approx(expected)


def test_the_fitness_of_a_network_is_that_of_its_embeddings(tmp_path):
    """Of all images of the source, whatever part of it goes through at a time."""
    people = load_dataset("sysu_mm01", write_people(tmp_path / "people", images_per_camera=1))
    keras.utils.set_random_seed(0)
    network = two_stream(Architecture.separate("resnet18"), 3, "resnet18", width=1 / 16)
    source = ImageSource(people.test, people.root, 32, 16)
    expected = mean_average_precision(embed(network, source, 7), people.test)
    assert fitness.fitness(network, source) == pytest.approx(expected, abs=1e-6)
    assert 0 < expected <= 1


@pytest.mark.slow
def test_scores_are_those_of_the_derived_networks(tmp_path, monkeypatch):
    """With the supernet's weights and with running statistics of the same batches; each score is
    the same whatever was asked before."""
    monkeypatch.setitem(architecture.BACKBONES.entries, "resnet18", ONE_BLOCK)
    monkeypatch.setattr(fitness, "_BATCHES", BATCHES)
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
        for batch in batches:
            derived(batch.images, training=True)
        source = ImageSource(split.architecture, Path(people.root), 32, 16)
        found_of = embed(derived, source, 7)
        distances = 1 - found_of[asking] @ found_of[~asking].T
        labels = pids[asking], pids[~asking], cameras[asking], cameras[~asking]
        assert scores[name] == pytest.approx(rank(distances, *labels, "regdb").mean_ap, abs=2e-3)
    assert scores["stem"] != scores["separate"]

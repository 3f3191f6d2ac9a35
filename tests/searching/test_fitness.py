"""What a supernet says of architectures, against the derived networks with its weights."""

from pathlib import Path

import numpy as np
import pytest

from cmnas_tf import architecture, command_line, settings
from cmnas_tf.architecture import Architecture, ResNetPlan
from cmnas_tf.data.index import Image, Images
from cmnas_tf.data.pipeline import ImageSource, Share
from cmnas_tf.data.split import halve
from cmnas_tf.models import two_stream
from cmnas_tf.retrieval.embed import embed
from cmnas_tf.retrieval.ranking import rank
from cmnas_tf.searching import fitness
from cmnas_tf.searching.fitness import supernet_scores
from cmnas_tf.searching.search import search
from cmnas_tf.training.inputs import TrainingImages
from tests.tiny_people import TINY, write_people
from tests.training.commands import newest

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
    assert fitness._mean_ap(embeddings, table) == pytest.approx(7 / 12)


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
    assert fitness._mean_ap(embeddings, table) == pytest.approx(expected)


@pytest.mark.slow
def test_scores_are_those_of_the_derived_networks(tmp_path, monkeypatch):
    """With the supernet's weights and with running statistics of the same batches; each score is
    the same whatever was asked before."""
    monkeypatch.setitem(architecture.RESNETS, "resnet18", ResNetPlan((1, 0, 0, 0), False))
    monkeypatch.setattr(fitness, "_BATCHES", BATCHES)
    data = write_people(tmp_path / "people")
    flags = [*TINY, f"--data_dir={data}", f"--run_dir={tmp_path / 'search'}"]
    flags += ["--strategy=one_device", "--epochs=2", "--warmup_epochs=1"]
    options = command_line.read(settings.Search, ["search", *flags])
    search(options)
    wanted = {
        "stem": Architecture.separate_until("stem", "resnet18"),
        "separate": Architecture.separate("resnet18"),
        "another": Architecture.shared("resnet34"),
    }
    scores = supernet_scores(options, wanted)
    assert scores["another"] is None
    assert supernet_scores(options, {"separate": wanted["separate"]})["separate"] == pytest.approx(
        scores["separate"], abs=1e-6
    )

    training = TrainingImages.load(options)
    split = halve(training.dataset.train, "within_identity", 0)
    batches = training.batches(training.sampler(split.weights, 3), 0, BATCHES, Share(0, 1, 1))
    tensors = newest(tmp_path / "search").tensors
    asking = split.architecture.modalities == "infrared"
    pids, cameras = split.architecture.pids, split.architecture.cameras
    for name in ("stem", "separate"):
        derived = two_stream(wanted[name], len(training.pids), "resnet18", width=0.0625)
        for path, weight in derived.get_weight_paths().items():
            weight.assign(tensors[f"network/{path}"])
        for batch in batches:
            derived(batch.images, training=True)
        source = ImageSource(split.architecture, Path(data), 32, 16)
        found = embed(derived, source, 7)
        distances = 1 - found[asking] @ found[~asking].T
        labels = pids[asking], pids[~asking], cameras[asking], cameras[~asking]
        assert scores[name] == pytest.approx(rank(distances, *labels, "regdb").mean_ap, abs=2e-3)
    assert scores["stem"] != scores["separate"]

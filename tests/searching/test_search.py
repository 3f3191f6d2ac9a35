"""A search from images to the architecture: what it leaves, and what it refuses."""

import gc
import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf import architecture
from cmnas_tf.architecture import Architecture
from cmnas_tf.errors import BadInput, Stopped
from cmnas_tf.models.specification import Specification
from cmnas_tf.network_parts import NetworkParts
from cmnas_tf.runs.checkpoints import Checkpoints
from cmnas_tf.runs.how_it_runs import Checkpointing
from cmnas_tf.runs.loop import Loop
from cmnas_tf.search_spaces import CellSpace, NormSpace
from cmnas_tf.searching import Darts, RandomSearch, Task, bilevel
from cmnas_tf.training.inputs import TrainingImages
from tests.searching.small import SMALL, SPACE, find

# Four people with four visible images, half of which make an epoch of two steps of 4 x 2.
TWO = Darts(epochs=2, warmup_epochs=1).with_values(**SMALL)


def files_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pictures_in(folder):
    """Of the probabilities, by step, [decisions, epochs] times 10."""
    return {
        event.step: tf.io.decode_png(tf.make_ndarray(value.tensor)[2]).numpy()[..., 0]
        for file in folder.iterdir()
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
        if value.tag == "probability_by_epoch"
    }


@pytest.mark.slow
def test_what_a_search_gives_and_leaves(people, one_block, tmp_path, monkeypatch):
    """Without a folder too, where it vanishes with what was found; nothing is computed again of a
    search that is finished."""
    found = find(people, TWO, tmp_path / "run")
    sites = architecture.sites_of("resnet18")
    assert list(found.probabilities) == list(found.architecture.choices) == list(sites)
    assert all(0 < value < 1 and value != 0.5 for value in found.probabilities.values())
    assert found.cost.parameters == found.architecture.provenance["cost"]["parameters"] > 0
    assert f"stem {found.architecture.to_cfg()[0]} | layer1" in str(found)
    assert str(found.cost) in str(found)
    assert found.space is SPACE
    run = found.run
    assert Architecture.load(run.path) == found.architecture
    after = [Architecture.load(run.architecture_after(epoch)) for epoch in (1, 2)]
    assert after[1] == found.architecture
    pictures = pictures_in(run.tensorboard)
    height = 10 * len(sites)
    assert {n: p.shape for n, p in pictures.items()} == {1: (height, 10), 3: (height, 20)}
    at_end = [255 * value for value in found.probabilities.values()]
    np.testing.assert_allclose(pictures[3][::10, -1], at_end, atol=0.51)
    settings = found.architecture.provenance["settings"]
    assert (settings["search_space"], settings["algorithm"]) == ("norm", "darts")
    assert json.loads(run.description.read_text())["settings"] == settings
    assert run.newest().step == 4

    alike = find(people, TWO)
    assert alike.run.newest().digest == run.newest().digest
    assert alike.architecture.to_json() == found.architecture.to_json()
    folder = alike.run.path
    assert folder.is_dir()
    del alike
    gc.collect()
    assert not folder.exists()

    def must_not_run(*_):
        raise AssertionError("a step was taken")

    monkeypatch.setattr(bilevel, "gradient_step", must_not_run)
    before = files_in(tmp_path)
    again = find(people, TWO, tmp_path / "run")
    assert again.architecture.to_json() == found.architecture.to_json()
    assert files_in(tmp_path) == before


def test_its_networks_are_of_its_space_and_its_images(people):
    parts = NetworkParts(pooling="gem")
    space = NormSpace("resnet18", width=1 / 16, last_stride=2, parts=parts)
    images, architecture = TrainingImages(people, TWO, seed=0), space.random(0)
    task = Task(space, images, None, None, None, {}, None, progress=False, writes=True)
    assert task.specification(architecture) == Specification(
        architecture, len(images.pids), 32, 16, 2, 1 / 16, people.modalities, parts
    )


@pytest.mark.slow
def test_a_search_that_was_asked_to_stop_resumes_to_the_same_end(people, one_block, tmp_path):
    """In its third step, the first that moves the architecture."""

    def stopping(self, terms, number, *arguments):
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)
        check(self, terms, number, *arguments)

    undisturbed = find(people, TWO)
    with pytest.MonkeyPatch.context() as patch:
        check = Loop._check_finite
        patch.setattr(Loop, "_check_finite", stopping)
        with pytest.raises(Stopped, match="SIGINT after step 3"):
            find(people, TWO, tmp_path)
    assert not (tmp_path / "architecture.json").exists()
    found = find(people, TWO, tmp_path)
    assert found.run.newest().digest == undisturbed.run.newest().digest
    assert found.architecture.to_json() == undisturbed.architecture.to_json()


@pytest.mark.slow
def test_a_begun_search_is_resumed_by_the_same_options_alone(people, one_block, tmp_path):
    """Of the algorithm, the run and the space; and by the same algorithm in the same space."""
    save = Checkpoints.save

    def stopping(self, *arguments):
        save(self, *arguments)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", stopping)
        with pytest.raises(KeyboardInterrupt):
            find(people, TWO, tmp_path)
    before = files_in(tmp_path)
    for space, algorithm, seed, message in (
        (SPACE, TWO.with_values(order="second"), 0, r"\(order='first' then, 'second' now\)"),
        (SPACE, TWO, 3, r"\(seed=0 then, 3 now\)"),
        (replace(SPACE, last_stride=2), TWO, 0, r"\(last_stride=1 then, 2 now\)"),
        (NormSpace("resnet34", width=1 / 16), TWO, 0, "backbone='resnet18' then, 'resnet34' now"),
        (
            SPACE,
            RandomSearch(epochs=2, candidates=2).with_values(**SMALL),
            0,
            "algorithm='darts' then, 'random' now",
        ),
    ):
        with pytest.raises(BadInput, match=message):
            find(people, algorithm, tmp_path, space, seed)
    visible = people.of_modality("visible")
    with pytest.raises(BadInput, match=r"search_space='norm' then, 'reid_cells' now"):
        find(visible, TWO, tmp_path, CellSpace((1,), width=1 / 16))
    assert files_in(tmp_path) == before


def test_what_does_not_fit_each_other_is_refused_and_leaves_no_folder(people, one_block, tmp_path):
    visible = people.of_modality("visible")
    for dataset, space, algorithm, message in (
        (visible, SPACE, TWO, "images are all visible, .* search_space=reid_cells"),
        (people, CellSpace((1,)), TWO, "Say which: modality=visible or modality=infrared"),
        (people, SPACE, TWO.with_values(identities_per_batch=5), "identities_per_batch=5, but th"),
        (people, SPACE, TWO.with_values(latency_weight=1.0), "`latency_weight` is for a search f"),
        (
            visible,
            CellSpace((1,)),
            TWO.with_values(architecture_mmd_weight=1.0),
            "mmd compare two modalities, but the images are all visible",
        ),
    ):
        with pytest.raises(BadInput, match=message):
            find(dataset, algorithm, tmp_path / "run", space)
        assert not (tmp_path / "run").exists()
    with pytest.raises(BadInput, match="checkpoint_every='often' must be epoch"):
        find(people, TWO, checkpointing=Checkpointing(checkpoint_every="often"))

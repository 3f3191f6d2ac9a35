"""Measuring while a network is trained: on whom, when, and which epoch is kept."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.architecture import Architecture
from cmnas_tf.data import Image, Images, load_dataset
from cmnas_tf.data.index import Dataset
from cmnas_tf.data.synthetic import write_dataset
from cmnas_tf.data.synthetic_plan import SyntheticPeople
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.evaluate import evaluate_network
from cmnas_tf.runs import checkpoints
from cmnas_tf.training.measuring import BestEpoch, hold_out
from cmnas_tf.training.recipe import Measuring, Recipe
from cmnas_tf.training.train import train_network
from cmnas_tf.training.trained import load_network

PEOPLE = SyntheticPeople(
    train_identities=6, test_identities=3, images_per_camera=2, image_height=32, image_width=16
)


def listed(people, each=3):
    rows = [
        Image(f"{pid}/{modality}{number}.jpg", pid, camera, modality)
        for pid in range(people)
        for modality, camera in (("visible", 1), ("infrared", 3))
        for number in range(each)
    ]
    return Dataset("sysu_mm01", "there", Images.of(rows), Images.of(rows[:6]))


def test_a_part_of_the_people_is_held_out_by_the_seed():
    dataset, measuring = listed(20), Measuring(measure_every=5, held_out=0.2)
    left, held_out = hold_out(dataset, measuring, seed=1)
    assert len(np.unique(held_out.pids)) == 4 and len(np.unique(left.train.pids)) == 16
    assert not set(held_out.pids) & set(left.train.pids)
    again = hold_out(dataset, measuring, seed=1)[1]
    assert list(again.paths) == list(held_out.paths)
    assert list(hold_out(dataset, measuring, seed=2)[1].paths) != list(held_out.paths)


def test_nobody_is_held_out_where_nothing_or_the_test_people_are_measured():
    dataset = listed(20)
    for measuring in (Measuring(), Measuring(measure_every=1, measure_on="test")):
        left, measured_on = hold_out(dataset, measuring, seed=1)
        assert left is dataset
        assert len(measured_on) == (6 if measuring.measure_every else 0)


def test_too_few_people_to_hold_some_out():
    with pytest.raises(BadInput, match=r"held_out=0.1 of 3 training people leaves 1 to train on"):
        hold_out(listed(3), Measuring(measure_every=1), seed=0)


def test_people_who_cannot_be_ranked_are_refused_before_the_training():
    """One image of each, or of one camera, of one modality; test images of an unseen modality."""
    visible = listed(20).train.of_modality("visible")
    for few in (visible[::3], visible):
        dataset = Dataset("market1501", "there", few, few)
        with pytest.raises(BadInput):
            hold_out(dataset, Measuring(measure_every=1), seed=0)
        with pytest.raises(BadInput):
            hold_out(dataset, Measuring(measure_every=1, measure_on="test"), seed=0)
    both = Dataset("sysu_mm01", "there", visible, listed(20).test)
    with pytest.raises(BadInput, match=r"measures infrared images too.*measure_on=held_out"):
        hold_out(both, Measuring(measure_every=1, measure_on="test"), seed=0)


def test_the_first_of_the_highest_epochs_is_kept():
    values = iter([0.2, 0.5, 0.5])
    after = BestEpoch(
        Measuring(measure_every=2), 5, lambda: {"mAP": next(values), "rank1": 0.1}, people=7
    )
    seen = {epoch: after(epoch) for epoch in range(1, 6)}
    assert [epoch for epoch, found in seen.items() if found.values] == [2, 4, 5]
    assert [epoch for epoch, found in seen.items() if found.best is not None] == [2, 4]
    assert seen[4].best == {"mAP": 0.5, "rank1": 0.1, "on": "7 held-out people", "every": 2}
    assert seen[4].values == {"held_out/mAP": 0.5, "held_out/rank1": 0.1}
    assert seen[3].word == "mAP 20.0 (best 20.0)"


def test_a_resumed_training_keeps_a_better_epoch_of_before():
    after = BestEpoch(
        Measuring(measure_every=1), 9, lambda: {"mAP": 0.5, "rank1": 0.5}, people=7, best=0.5
    )
    assert after(1).best is None


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    data = tmp_path_factory.mktemp("data") / "sysu"
    write_dataset(PEOPLE, data, processes=1)
    return load_dataset("sysu_mm01", data)


def train(people, folder, **changes):
    recipe = Recipe(epochs=changes.pop("epochs", 2)).with_values(
        image_height=32,
        image_width=16,
        identities_per_batch=2,
        images_per_identity=2,
        pad=1,
        **changes,
    )
    return train_network(
        people,
        Architecture.separate("resnet18"),
        recipe,
        run_dir=folder,
        width=0.25,
        devices=tf.distribute.OneDeviceStrategy("CPU:0"),
        progress=False,
    )


def logged(folder):
    """Every tag and step in TensorBoard's logs, as often as it is there."""
    return [
        (value.tag, event.step)
        for log in (folder / "tensorboard").glob("events.out.*")
        for event in tf.compat.v1.train.summary_iterator(str(log))
        for value in event.summary.value
    ]


@pytest.mark.slow
def test_measuring_changes_nothing_and_keeps_the_best(people, one_block, tmp_path):
    plain = train(people, tmp_path / "plain")
    measured = train(people, tmp_path / "measured", measure_every=1, measure_on="test")
    for name, tensor in plain.checkpoint.tensors.items():
        np.testing.assert_array_equal(measured.checkpoint.tensors[name], tensor)

    best = load_network(tmp_path / "measured" / "checkpoints" / "best.safetensors")
    scores = evaluate_network(best, people, progress=False)
    chosen = best.checkpoint.metadata["best"]
    assert scores.mAP == pytest.approx(chosen["mAP"]) and scores.rank1 == chosen["rank1"]
    assert scores.record["checkpoint"]["best"]["on"] == "3 test people"
    assert "measured every 1, by mAP of 3 test people" in str(scores)
    assert "best" not in measured.checkpoint.metadata

    tags = {tag for tag, _ in logged(tmp_path / "measured")}
    assert {"test/mAP", "test/rank1", "learning_rate/backbone", "learning_rate/head"} <= tags
    assert "test/queries" in tags
    shown = tmp_path / "measured" / "tensorboard" / "projector_config.pbtxt"
    assert 'tensor_name: "epoch_0002"' in shown.read_text()
    assert not (tmp_path / "plain" / "tensorboard" / "projector_config.pbtxt").exists()


@pytest.mark.slow
def test_held_out_people_have_no_class_and_a_longer_training_ends_the_same(
    people, one_block, tmp_path
):
    at_once = train(people, tmp_path / "at once", measure_every=1, held_out=0.3)
    assert at_once.specification.num_classes == 4
    folder = tmp_path / "in two"
    train(people, folder, measure_every=1, held_out=0.3, epochs=1)
    in_two = train(people, folder, measure_every=1, held_out=0.3)
    for name, tensor in at_once.checkpoint.tensors.items():
        np.testing.assert_array_equal(in_two.checkpoint.tensors[name], tensor)
    best = [
        checkpoints.read(tmp_path / run / "checkpoints" / "best.safetensors")
        for run in ("at once", "in two")
    ]
    assert best[0].step == best[1].step
    assert best[0].metadata["best"] == best[1].metadata["best"]
    assert sorted(logged(folder)) == sorted(logged(tmp_path / "at once"))
    assert [tag for tag, _ in logged(folder)].count("held_out/queries") == 2
    newest = [
        tf.train.latest_checkpoint(tmp_path / run / "tensorboard") for run in ("at once", "in two")
    ]
    np.testing.assert_array_equal(*(tf.train.load_variable(file, "epoch_0002") for file in newest))


@pytest.mark.slow
def test_who_is_held_out_cannot_change_in_a_run(people, one_block, tmp_path):
    train(people, tmp_path, epochs=1)
    with pytest.raises(BadInput, match="measure_every"):
        train(people, tmp_path, measure_every=1)

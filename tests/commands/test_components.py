"""The components that commands are made of: their defaults, their bounds, what they record."""

import json
import re
from typing import get_origin

import pytest

from cmnas_tf.commands.options_of_runs import Data
from cmnas_tf.commands.search import Search
from cmnas_tf.commands.train import Train
from cmnas_tf.data.augmentation import Augmentation
from cmnas_tf.data.sampling import Sampling
from cmnas_tf.devices.devices import Devices
from cmnas_tf.errors import BadInput
from cmnas_tf.options import described
from cmnas_tf.searching import Darts
from cmnas_tf.training.recipe import Numerics, Recipe
from tests.commands.every import class_of, every_command


@every_command
def test_defaults_have_the_declared_type_and_help_is_a_sentence(name):
    """``10`` where a float is declared would become a flag that refuses 2.5."""
    for known in class_of(name).options():
        assert type(known.default) is (get_origin(known.type) or known.type), known.name
        assert re.search(r"\.( \[(code|pub)\])?$", known.help), known.name


@every_command
def test_every_bound_and_every_choice_is_checked(name):
    for known in class_of(name).options():
        for bound, beyond in ((known.minimum, -1), (known.maximum, 1)):
            if bound is not None:
                known.check(bound)
                with pytest.raises(BadInput, match=rf"^{known.name}=.* out of range.*{bound}"):
                    known.check(bound + beyond)
        for choice in known.choices:
            known.check(choice)
        if known.choices:
            with pytest.raises(BadInput, match=rf"^{known.name}='other'.* one of "):
                known.check("other")


def test_an_image_is_mixed_in_one_way_at_most():
    """So the two probabilities add up to 1, and no more."""
    Augmentation(channel_exchange_probability=0.75, greyscale_probability=0.25)
    with pytest.raises(BadInput, match=r"channel_exchange_probability=0\.8, .* more than 1"):
        Augmentation(channel_exchange_probability=0.8, greyscale_probability=0.3)


def test_there_must_be_an_average_to_adopt():
    Recipe(adopt_average_every=2)
    with pytest.raises(BadInput, match=r"adopt_average_every=2 .*average_decay=0 switches"):
        Recipe(adopt_average_every=2, average_decay=0.0)


def test_warm_up_must_leave_an_epoch_to_the_architecture():
    Darts(epochs=10, warmup_epochs=9)
    with pytest.raises(BadInput, match=r"warmup_epochs=10 leaves no epoch of epochs=10"):
        Darts(epochs=10, warmup_epochs=10)


def test_differences_of_gradients_need_digits():
    Darts(order="second")
    for precision in ("bfloat16", "float16"):
        with pytest.raises(BadInput, match=rf"order=second takes .* precision={precision} has"):
            Darts(order="second", numerics=Numerics(precision=precision))


def test_parts_of_a_cpu_belong_to_one_process():
    Devices(logical_devices=2, strategy="mirrored")
    for strategy in ("one_device", "multi_worker"):
        with pytest.raises(BadInput, match=f"logical_devices=2 .*strategy={strategy} does not"):
            Devices(logical_devices=2, strategy=strategy)


def test_rows_of_a_batch():
    assert Sampling(identities_per_batch=6, images_per_identity=3).rows == 18


@pytest.mark.parametrize(
    "name, value",
    [
        ("image_height", 256),
        ("image_width", 128),
        ("last_stride", 1),
        ("identities_per_batch", 16),
        ("images_per_identity", 4),
        ("margin", 0.4),
        ("correlation_weight", 5.0),
        ("mmd_weight", 0.05),
        ("backbone_learning_rate", 0.001),
        ("head_learning_rate", 0.01),
        ("weight_decay", 5e-4),
        ("learning_rate_warmup", 10),
        ("decay_epochs", [40, 70]),
        ("epochs", 120),
        ("average_decay", 0.997),
        ("pad", 10),
        ("flip_probability", 0.5),
        ("erase_probability", 0.5),
    ],
)
def test_defaults_of_a_training_are_the_authors(name, value):
    """From their released code."""
    assert described([Train()])[name] == value


def test_what_a_result_follows_from():
    """Not from where things lie and how they are shown; from all else, JSON-ready."""
    found = described([Search().with_values(seed=5, run_dir="there")])
    assert json.loads(json.dumps(found)) == found
    assert found["seed"] == 5
    assert {known.name for known in Search.options()} - set(found) == {
        "recipe",
        "run_dir",
        "data_dir",
        "cache",
        "strategy",
        "logical_devices",
        "threads",  # the folder of a run compares them
        "checkpoint_every",
        "keep_checkpoints",
        "progress",
        "xla",
    }


def test_the_layout_follows_from_the_folder_unless_it_is_given(tmp_path):
    """Of the data set's own files or of its shards; where it looks like nothing, as ever."""
    for layout, entries in {
        "sysu_mm01": ("exp", *(f"cam{n}" for n in range(1, 7))),
        "regdb": ("Visible", "Thermal", "idx"),
        "market1501": ("bounding_box_train", "bounding_box_test", "query"),
        "own_images": (),
    }.items():
        folder = tmp_path / layout
        for entry in entries or ("",):
            (folder / entry).mkdir(parents=True)
        if not entries:
            (folder / "images.csv").touch()
        data = Data(data_dir=str(folder))
        assert (data.layout, data.dataset) == (layout, "")
        assert Data(data_dir=str(folder), dataset="llcm").layout == "llcm"
    for empty in ("", str(tmp_path / "none"), str(tmp_path)):
        assert Data(data_dir=empty).layout == "sysu_mm01"
    with pytest.raises(BadInput, match=r"^dataset='regbd' is not allowed.*Did you mean regdb"):
        Data(dataset="regbd")

"""Settings: their types, their ranges, and which of them shape a result."""

import dataclasses
import json
import re
import typing

import pytest

from cmnas_tf import settings
from cmnas_tf.errors import BadInput

COMMANDS = [
    member
    for member in vars(settings).values()
    if dataclasses.is_dataclass(member)
    and isinstance(member, type)
    and not issubclass(member, settings.Group)
]
GROUPS = {group for command in COMMANDS for group in settings.groups(command).values()}
every_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.__name__)
every_group = pytest.mark.parametrize(
    "group", sorted(GROUPS, key=lambda g: g.__name__), ids=lambda g: g.__name__
)


@every_command
def test_a_name_is_used_once_in_a_command(command):
    names = [field.name for _, field in settings.fields(command)]
    assert len(names) == len(set(names)) > 0


@every_group
def test_defaults_have_the_type_that_is_declared_and_a_help_text(group):
    """``10`` where a float is declared would become a flag that refuses 2.5."""
    for field in dataclasses.fields(group):
        declared = typing.get_origin(field.type) or field.type
        assert type(field.default) is declared, field.name
        assert re.search(r"\.( \[(code|pub)\])?$", field.metadata["help"]), field.name


@every_group
def test_bounds_are_checked_and_belong_to_the_range(group):
    for field in dataclasses.fields(group):
        for bound, beyond in (("minimum", -1), ("maximum", 1)):
            limit = field.metadata[bound]
            if limit is not None:
                assert getattr(group(**{field.name: limit}), field.name) == limit
                with pytest.raises(BadInput, match=rf"--{field.name}=.* out of range.*{limit}"):
                    group(**{field.name: limit + beyond})


@every_group
def test_choices_are_checked(group):
    for field in dataclasses.fields(group):
        for choice in field.metadata["choices"]:
            assert getattr(group(**{field.name: choice}), field.name) == choice
        if field.metadata["choices"]:
            with pytest.raises(BadInput, match=rf"--{field.name}='other'.*one of ") as raised:
                group(**{field.name: "other"})
            assert all(repr(choice) in str(raised.value) for choice in field.metadata["choices"])


def test_what_is_no_number_is_in_no_range():
    """A comparison with nan is never true, so it must not be what decides."""
    for name in ("label_smoothing", "triplet_weight"):
        with pytest.raises(BadInput, match=rf"--{name}=nan"):
            settings.Loss(**{name: float("nan")})


def test_an_image_is_mixed_in_one_way_at_most():
    """So the two probabilities add up to 1, and no more."""
    settings.Pipeline(channel_exchange_probability=0.75, greyscale_probability=0.25)
    with pytest.raises(BadInput, match=r"--channel_exchange_probability=0\.8 and .* more than 1"):
        settings.Pipeline(channel_exchange_probability=0.8, greyscale_probability=0.3)


def test_there_must_be_an_average_to_adopt():
    settings.TrainSchedule(adopt_average_every=2)
    with pytest.raises(BadInput, match=r"--adopt_average_every=2 .*--average_decay=0 switches"):
        settings.TrainSchedule(adopt_average_every=2, average_decay=0.0)


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.Search().run.seed = 3


def test_warm_up_must_leave_an_epoch_to_the_architecture():
    schedule = settings.SearchSchedule(epochs=10, warmup_epochs=9)
    assert settings.Search(schedule=schedule).schedule is schedule
    with pytest.raises(BadInput, match=r"--warmup_epochs=10 leaves no epoch of --epochs=10"):
        settings.Search(schedule=settings.SearchSchedule(epochs=10, warmup_epochs=10))


def test_differences_of_gradients_need_digits():
    second = settings.SearchSchedule(order="second")
    settings.Search(schedule=second)
    for precision in ("bfloat16", "float16"):
        with pytest.raises(BadInput, match=rf"--order=second takes .* --precision={precision} has"):
            settings.Search(schedule=second, arithmetic=settings.Arithmetic(precision))


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
def test_training_defaults_are_the_authors(name, value):
    """From their released code."""
    assert settings.shaping_result(settings.Train())[name] == value


def test_what_shapes_a_result():
    """Where things lie and how they are shown does not; everything else does, JSON-ready."""
    shaping = settings.shaping_result(settings.Search(run=settings.Run(seed=5, run_dir="there")))
    assert json.loads(json.dumps(shaping)) == shaping
    assert shaping["seed"] == 5
    every = {field.name for _, field in settings.fields(settings.Search)}
    assert every - set(shaping) == {
        "run_dir",
        "data_dir",
        "cache",
        "strategy",
        "logical_devices",
        "checkpoint_every",
        "keep_checkpoints",
        "progress",
    }


def test_parts_of_a_cpu_belong_to_one_process():
    settings.Devices(logical_devices=2, strategy="mirrored")
    for strategy in ("one_device", "multi_worker"):
        with pytest.raises(BadInput, match=f"--logical_devices=2 .*--strategy={strategy} does not"):
            settings.TrainingDevices(logical_devices=2, strategy=strategy)


def test_batch_rows():
    assert settings.Batch(identities_per_batch=6, images_per_identity=3).rows == 18

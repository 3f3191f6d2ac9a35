"""A training in this process, on two replicas: when it adopts its average, and that it goes on."""

import json
import shutil

import numpy as np
import pytest

from cmnas_tf import settings as settings_module
from cmnas_tf.data.synthetic import write_dataset
from cmnas_tf.files import write_json
from cmnas_tf.layers import ModalityNorm
from cmnas_tf.runs import checkpoints
from cmnas_tf.training import train as training
from tests.training import tiny

pytestmark = pytest.mark.slow

# Four people with four visible images each, in batches of 4 x 2: three steps an epoch.
PEOPLE = settings_module.SyntheticPeople(
    train_identities=4, test_identities=2, images_per_camera=1, image_height=32, image_width=16
)


def tiny_network():
    """Two convolutions, each with a norm for each modality; the same weights every time."""
    return tiny.supernet(make_norm=lambda site: ModalityNorm("separate", name=site))


@pytest.fixture(scope="module")
def train(tmp_path_factory, two_replicas):
    """Trains three epochs in a folder, or goes on there; gives the checkpoints of every step."""
    data = tmp_path_factory.mktemp("data") / "sysu"
    write_dataset(PEOPLE, data, processes=1)

    def train(folder, adopt_average_every):
        settings = settings_module.Train(
            run=settings_module.Run(run_dir=str(folder)),
            data=settings_module.Data(data_dir=str(data)),
            input=settings_module.Input(image_height=32, image_width=16),
            batch=settings_module.Batch(identities_per_batch=4, images_per_identity=2),
            pipeline=settings_module.Pipeline(pad=1, cache="decoded"),
            schedule=settings_module.TrainSchedule(
                epochs=3, average_decay=0.5, adopt_average_every=adopt_average_every
            ),
            checkpointing=settings_module.Checkpointing("1", keep_checkpoints=100),
            progress=settings_module.Progress(progress=False),
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "make_strategy", lambda *_: two_replicas)
            patch.setattr(training.Specification, "build", lambda *_: tiny_network())
            training.train(settings)
        found = map(checkpoints.read, checkpoints.Checkpoints(folder / "checkpoints").paths())
        return {checkpoint.step: checkpoint for checkpoint in found}

    return train


@pytest.fixture(scope="module")
def adopting(train, tmp_path_factory):
    """The folder and the checkpoints of a run that adopts its average after two epochs of three."""
    folder = tmp_path_factory.mktemp("runs") / "adopting"
    return folder, train(folder, adopt_average_every=2)


def interrupted(run, after, folder):
    """A copy of a run as it was after so many steps."""
    shutil.copytree(run, folder)
    for path in checkpoints.Checkpoints(folder / "checkpoints").paths()[after:]:
        path.unlink()
    return folder


def never_adopting(folder):
    """The same run as if it had been told never to adopt the average."""
    described = json.loads((folder / "run.json").read_text())
    assert described["settings"]["adopt_average_every"] == 2
    described["settings"]["adopt_average_every"] = 0
    write_json(folder / "run.json", described)
    return folder


def same(one, other):
    assert set(one.tensors) == set(other.tensors)
    return all(np.array_equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def part(checkpoint, name):
    return {
        key.removeprefix(f"{name}/"): tensor
        for key, tensor in checkpoint.tensors.items()
        if key.startswith(f"{name}/")
    }


def test_the_average_is_adopted_when_the_epoch_after_begins(train, adopting, tmp_path):
    """Until then nothing differs from a run that never does, and the checkpoint at the end of the
    second epoch holds both. From then on the run is one that never does, begun from that checkpoint
    with the average written over the live weights and statistics by hand."""
    folder, found = adopting
    assert list(found) == [*range(1, 10)]
    never = train(never_adopting(interrupted(folder, 3, tmp_path / "never")), 0)
    assert [same(found[step], never[step]) for step in found] == [True] * 6 + [False] * 3

    by_hand = never_adopting(interrupted(folder, 6, tmp_path / "by_hand"))
    last = found[6]
    average = part(last, "average")
    assert any((average[name] != live).any() for name, live in part(last, "network").items())
    tensors = {**last.tensors, **{f"network/{name}": value for name, value in average.items()}}
    checkpoints.write(by_hand / "checkpoints" / last.path.name, last.step, tensors, last.metadata)
    begun = train(by_hand, 0)
    assert all(same(found[step], begun[step]) for step in (7, 8, 9))


@pytest.mark.parametrize("after", [5, 6, 7])
def test_a_run_that_goes_on_ends_as_an_undisturbed_one(train, adopting, tmp_path, after):
    """Interrupted before, when and after the average is adopted; bit for bit."""
    folder, found = adopting
    again = train(interrupted(folder, after, tmp_path / "run"), 2)
    assert all(same(found[step], again[step]) for step in found)

"""The pace of a study: real steps of a search and a training, timed."""

import itertools
from types import SimpleNamespace

import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.modality import MODALITIES, VISIBLE
from cmnas_tf.searching.bilevel import Bilevel
from cmnas_tf.studies import throughput
from cmnas_tf.studies.throughput import measure
from cmnas_tf.training import gradient_step
from tests.studies.small import study

SMALL = (
    "--image_height=32 --image_width=16 --identities_per_batch=4 --images_per_identity=2 "
    "--strategy=one_device"
)
RESNET = f"{SMALL} --backbone=resnet18 --width=0.0625"
CELLS = f"{SMALL} --width=0.0625 --correlation_weight=0 --mmd_weight=0"


def commands(folder, search=RESNET, train=RESNET):
    """The settings of a small search and of a small training."""
    recipes = {"search_flags": search, "train_flags": train}
    cell = study(folder, arms=("searched",), against=(), recipes=recipes).cells()[0]
    return cell.search, cell.train


@pytest.fixture
def clock(monkeypatch):
    """Steps that take 1, 2, 4, 8, ... s."""
    moments = itertools.chain.from_iterable((0.0, 2.0**n) for n in itertools.count())
    monkeypatch.setattr(throughput, "time", SimpleNamespace(perf_counter=lambda: next(moments)))


def test_medians_without_the_first_two_steps(tmp_path, clock, monkeypatch):
    """Of the search's 1, 2 | 4, 8, 16 and the training's 32, 64 | 128, 256, 512. Whatever the
    order, they are first-order steps that move the architecture, of whole batches; and the weights
    to start from need not be there."""
    seen = []
    step = Bilevel.train_step

    def train_step(self, one, other, move_architecture, run):
        shapes = {modality: tuple(images.shape) for modality, images in one.images.items()}
        seen.append((self.second_order, move_architecture, shapes, one.labels.numpy().tolist()))
        return step(self, one, other, move_architecture, run)

    monkeypatch.setattr(Bilevel, "train_step", train_step)
    flags = f"{RESNET} --order=second --initial_weights=nowhere"
    found = measure(*commands(tmp_path, flags), 5, MODALITIES, 3)
    assert (found.search_seconds, found.train_seconds) == (8, 256)
    assert found.device
    shapes = dict.fromkeys(MODALITIES, (8, 32, 16, 3))
    assert seen == [(False, True, shapes, [0, 0, 1, 1, 2, 2, 3, 3])] * 5


@pytest.mark.slow
def test_cells_of_one_modality(tmp_path, clock):
    """A search for cells, which trains cells drawn at random."""
    search = (
        f"{CELLS} --search_space=darts_cells --cells=1,1 --modality=visible "
        "--architecture_correlation_weight=0 --architecture_mmd_weight=0"
    )
    found = measure(*commands(tmp_path, search, CELLS), 5, (VISIBLE,), 1)
    assert (found.search_seconds, found.train_seconds) == (4, 32)


@pytest.fixture
def on_two(monkeypatch, two_replicas):
    """The devices of every command: two replicas."""
    monkeypatch.setattr(throughput, "make_strategy", lambda devices, deterministic: two_replicas)


@pytest.mark.slow
def test_each_device_has_its_share(tmp_path, clock, on_two, monkeypatch):
    """Four identities over two devices: two of two images each."""
    rows = []
    slope = gradient_step.slope

    def seen(network, objective, batch, *others):
        rows.append(batch.labels.shape[0])
        return slope(network, objective, batch, *others)

    monkeypatch.setattr(gradient_step, "slope", seen)
    measure(*commands(tmp_path), 5, MODALITIES, 1)
    assert set(rows) == {4}


@pytest.mark.parametrize("command", ["search", "train"])
def test_a_batch_that_cannot_be_dealt_out(tmp_path, on_two, command):
    """Three identities over two devices."""
    flags = {command: f"{RESNET} --identities_per_batch=3"}
    with pytest.raises(BadInput, match="3 cannot be divided over 2"):
        measure(*commands(tmp_path, **flags), 5, MODALITIES, 1)

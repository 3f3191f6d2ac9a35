"""The pace of a study: real steps of a search and a training, timed."""

import itertools
from types import SimpleNamespace

import pytest

from cmnas_tf.architecture import BACKBONES
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import MODALITIES, VISIBLE
from cmnas_tf.searching.bilevel import Bilevel
from cmnas_tf.studies import throughput
from cmnas_tf.studies.plan import Searching, Training
from cmnas_tf.studies.throughput import measure
from cmnas_tf.training import gradient_step
from tests.searching.small import ONE_BLOCK

SMALL = {
    "image_height": 32,
    "image_width": 16,
    "identities_per_batch": 4,
    "images_per_identity": 2,
    "strategy": "one_device",
    "width": 0.0625,
}
RESNET = {**SMALL, "backbone": "resnet18"}


def parts(search=RESNET, train=RESNET):
    """A small search and a small training."""
    return Searching.of_values(search), Training.of_values(train)


@pytest.fixture(autouse=True)
def one_block(monkeypatch):
    """ResNet-18 is left with one block, which builds several times faster."""
    monkeypatch.setitem(BACKBONES.entries, "resnet18", ONE_BLOCK)


@pytest.fixture
def clock(monkeypatch):
    """Steps that take 1, 2, 4, 8, ... s."""
    moments = itertools.chain.from_iterable((0.0, 2.0**n) for n in itertools.count())
    monkeypatch.setattr(throughput, "time", SimpleNamespace(perf_counter=lambda: next(moments)))


def test_medians_without_the_first_two_steps(clock, monkeypatch):
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
    search = {**RESNET, "order": "second", "initial_weights": "nowhere"}
    found = measure(*parts(search), 5, MODALITIES, 3)
    assert (found.search_seconds, found.train_seconds) == (8, 256)
    assert found.device
    shapes = dict.fromkeys(MODALITIES, (8, 32, 16, 3))
    assert seen == [(False, True, shapes, [0, 0, 1, 1, 2, 2, 3, 3])] * 5


@pytest.mark.slow
@pytest.mark.parametrize("modalities", [(VISIBLE,), MODALITIES], ids=str)
def test_cells_of_one_modality(clock, modalities):
    """A search for cells, which trains cells drawn at random; where there are images of two
    modalities it searches on those of one, and losses between them are in the training alone."""
    search = {**SMALL, "search_space": "darts_cells", "cells": (1, 1), "modality": VISIBLE}
    found = measure(*parts(search, SMALL), 5, modalities, 1)
    assert (found.search_seconds, found.train_seconds) == (4, 32)


@pytest.mark.slow
def test_a_random_search_is_measured_by_the_steps_of_darts(clock):
    """Which it takes as many of; what is its own alone means nothing to them."""
    found = measure(*parts({**RESNET, "algorithm": "random", "candidates": 4}), 5, MODALITIES, 1)
    assert (found.search_seconds, found.train_seconds) == (4, 32)


@pytest.fixture
def on_two(monkeypatch, two_replicas):
    """The devices of both parts: two replicas."""
    monkeypatch.setattr(throughput, "make_strategy", lambda devices, deterministic: two_replicas)


@pytest.mark.slow
def test_each_device_has_its_share(clock, on_two, monkeypatch):
    """Four identities over two devices: two of two images each."""
    rows = []
    loss_and_gradients = gradient_step.loss_and_gradients

    def seen(network, objective, batch, *others):
        rows.append(batch.labels.shape[0])
        return loss_and_gradients(network, objective, batch, *others)

    monkeypatch.setattr(gradient_step, "loss_and_gradients", seen)
    measure(*parts(), 5, MODALITIES, 1)
    assert set(rows) == {4}


@pytest.mark.parametrize("part", ["search", "train"])
def test_a_batch_that_cannot_be_dealt_out(on_two, part):
    """Three identities over two devices."""
    given = {part: {**RESNET, "identities_per_batch": 3}}
    with pytest.raises(
        BadInput, match=rf"^{part}\.identities_per_batch=3 cannot be divided over 2"
    ):
        measure(*parts(**given), 5, MODALITIES, 1)

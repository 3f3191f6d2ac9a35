"""An export in bfloat16 is as near to the network as its digits allow, smaller, or refused."""

import dataclasses
import json
import logging

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.architecture import Architecture
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.commands import command_line, export
from cmnas_tf.data import load_dataset
from cmnas_tf.errors import BadInput
from cmnas_tf.models import precision
from cmnas_tf.models.specification import Specification
from cmnas_tf.serving import encoder
from cmnas_tf.serving.encoder import Encoder
from cmnas_tf.serving.export import export_saved_model
from cmnas_tf.serving.exported_model import ServedForm
from cmnas_tf.training.trained import load_network
from tests.models.genotypes import EVERYTHING
from tests.serving.networks import write_run
from tests.tiny_people import write_people

pytestmark = pytest.mark.usefixtures("one_block_throughout")

NETWORKS = {
    "resnet": lambda: Architecture.separate_until("layer1", "resnet18"),
    "cells": lambda: Architecture.shared(CellPlan(EVERYTHING, (1,))),
}


def specified(name):
    return Specification(NETWORKS[name](), 8, 32, 16, width_factor=0.125)


@pytest.fixture(scope="module")
def run(tmp_path_factory, one_block_throughout):
    return write_run(tmp_path_factory.mktemp("run"), specified("resnet"))


def embeddings(model, **how):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 16, 3), np.uint8)
    made = Encoder(model.network, model.specification, **how)
    embed = encoder.embedding_function(made, model.specification, "infrared")
    return made, embed(tf.constant(pixels))["embedding"].numpy()


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_as_near_to_the_network_as_kerass_own_bfloat16(name, frozen, tmp_path):
    run = write_run(tmp_path, specified(name))
    made, found = embeddings(load_network(run), frozen=frozen, bfloat16=True)
    _, wanted = embeddings(load_network(run))
    _, keras = embeddings(load_network(run, precision="bfloat16"))
    assert 0 < np.abs(found - wanted).max() < 1.5 * np.abs(keras - wanted).max() < 0.05
    assert found.dtype == np.float32
    kernels = {variable.dtype for variable in made.weights if variable.shape.rank == 4}
    assert kernels == (set() if frozen else {tf.bfloat16})


def test_the_version_is_half_as_large_and_says_what_it_computes_in(run, tmp_path):
    sizes = []
    for numbers in ("float32", "bfloat16"):
        form = ServedForm(precision=numbers, signatures=("embed_visible_pixels",))
        folder = export_saved_model(load_network(run), tmp_path, form=form)
        sizes.append((folder / "variables/variables.data-00000-of-00001").stat().st_size)
        card = json.loads((folder / "assets.extra/model_card.json").read_text())
        assert card["network"]["computed_in"] == numbers
        parity = json.loads((folder / "assets.extra/parity.json").read_text())
        assert parity["tolerance"] == {"float32": 1e-5, "bfloat16": 1e-2}[numbers]
        assert f"in {numbers}" in (said := export.summary(folder))
        assert ("measured with --data_dir" in said) == (numbers == "bfloat16")
    assert sizes[1] < 0.6 * sizes[0]


def test_what_it_loses_is_measured_and_said(run, tmp_path, capsys):
    people = write_people(tmp_path / "people")
    words = ["", f"--run_dir={run}", f"--export_dir={tmp_path / 'models'}", "--precision=bfloat16"]
    words += [f"--data_dir={people}", "--signatures=embed_visible_pixels"]
    export.main(command_line.read(export.Export, words))
    said = capsys.readouterr().out
    folder = tmp_path / "models/1"
    measured = json.loads((folder / "assets.extra/measured.json").read_text())
    model, dataset = load_network(run), load_dataset("sysu_mm01", people)
    assert 0.99 < measured["cosine"]["smallest"] < measured["cosine"]["mean"] < 1
    (setting,) = measured["before"]
    assert f"{setting}: Rank-1 {100 * measured['before'][setting]['rank1']:.2f} -> " in said
    served = tf.saved_model.load(str(folder)).signatures["embed_visible_pixels"]
    visible = dataset.test.modalities == "visible"
    pixels = np.concatenate(
        [
            model.source(dataset.test, people).reader()(tf.constant(row)).numpy()[None]
            for row in np.flatnonzero(visible)
        ]
    )
    cosines = (
        (served(pixels=pixels)["embedding"] * model.embed_dataset(dataset)[visible]).numpy().sum(1)
    )
    assert measured["cosine"]["smallest"] <= cosines.min() + 1e-6


@pytest.mark.parametrize("pace", [1.7, 0.6])
def test_auto_takes_what_is_faster_here(pace, monkeypatch, caplog):
    monkeypatch.setattr(precision, "bfloat16_pace", lambda: pace)
    precision.warn_of_bfloat16.cache_clear()
    with caplog.at_level(logging.INFO):
        chosen = ServedForm(precision="auto").for_this_machine().precision
    assert chosen == ("bfloat16" if pace > 1 else "float32")
    assert f"precision={chosen}: this machine is {pace} times as fast in bfloat16" in caplog.text
    caplog.clear()
    for _ in range(2):  # it is said once
        assert ServedForm(precision="bfloat16").for_this_machine().precision == "bfloat16"
        with precision.computed_in("bfloat16"):
            pass
    said = [record.getMessage() for record in caplog.records]
    assert [("takes 1.7 times as long in bfloat16" in each) for each in said] == [True] * (pace < 1)


def test_the_pace_is_measured():
    assert 0.05 < precision.bfloat16_pace() < 50


def test_what_a_network_of_one_modality_loses_is_not_measured_on_others(run, tmp_path):
    model = load_network(run)
    seeing = dataclasses.replace(model.specification, modalities=("visible",))
    people = load_dataset("sysu_mm01", write_people(tmp_path / "people"))
    with pytest.raises(BadInput, match="trained on visible images only"):
        export_saved_model(
            dataclasses.replace(model, specification=seeing), tmp_path / "models", dataset=people
        )
    assert not (tmp_path / "models").exists()


def test_what_cannot_be_narrowed_is_refused(run, tmp_path, monkeypatch):
    """A TensorFlow that leaves the graph as it is, and a network in narrow numbers already."""
    form = ServedForm(precision="bfloat16")
    with pytest.raises(
        BadInput, match=r"one is in bfloat16: load_network\(run, precision='float32'"
    ):
        export_saved_model(load_network(run, precision="bfloat16"), tmp_path, form=form)
    with pytest.raises(BadInput, match=r"precision=float16 is exported of a network in float16"):
        export_saved_model(load_network(run), tmp_path, form=ServedForm(precision="float16"))
    monkeypatch.setattr(encoder, "OptimizeGraph", lambda config, given: given.graph_def)
    with pytest.raises(BadInput, match="precision=bfloat16 is not possible here"):
        export_saved_model(load_network(run), tmp_path, form=form)
    assert not list(tmp_path.iterdir())

"""A training in this process: when it adopts its average, that it resumes, and what it gives."""

import dataclasses
import gc
import json
import shutil

import numpy as np
import pytest

from cmnas_tf.architecture import Architecture
from cmnas_tf.data import load_dataset
from cmnas_tf.data.synthetic import write_dataset
from cmnas_tf.data.synthetic_plan import SyntheticPeople
from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_json
from cmnas_tf.layers import ModalityNorm
from cmnas_tf.models.specification import Specification
from cmnas_tf.network_parts import NetworkParts
from cmnas_tf.runs import checkpoints
from cmnas_tf.runs.how_it_runs import Checkpointing
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.search_spaces import NormSpace
from cmnas_tf.searching import Darts
from cmnas_tf.searching.search import find_architecture
from cmnas_tf.training import initial_weights, trainer
from cmnas_tf.training.recipe import Recipe
from cmnas_tf.training.train import train_network
from cmnas_tf.training.trained import load_network
from tests.training import tiny

pytestmark = pytest.mark.slow

# Four people with four visible images each, in batches of 4 x 2: three steps an epoch.
PEOPLE = SyntheticPeople(
    train_identities=4, test_identities=2, images_per_camera=1, image_height=32, image_width=16
)
SMALL = {
    "image_height": 32,
    "image_width": 16,
    "identities_per_batch": 4,
    "images_per_identity": 2,
    "pad": 1,
}


def tiny_network():
    """Two convolutions, each with a norm for each modality; the same weights every time."""
    return tiny.supernet(make_norm=lambda site: ModalityNorm("separate", name=site))


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    data = tmp_path_factory.mktemp("data") / "sysu"
    write_dataset(PEOPLE, data, processes=1)
    return load_dataset("sysu_mm01", data)


@pytest.fixture(scope="module")
def train(people, two_replicas):
    """Trains three epochs in a folder, or resumes there; gives the checkpoints of every step."""

    def train(folder, adopt_average_every):
        recipe = Recipe(
            epochs=3, average_decay=0.5, adopt_average_every=adopt_average_every
        ).with_values(**SMALL, cache="decoded")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Specification, "build", lambda *_: tiny_network())
            train_network(
                people,
                Architecture.shared(),
                recipe,
                run_dir=folder,
                devices=two_replicas,
                checkpointing=Checkpointing(checkpoint_every="1", keep_checkpoints=100),
                progress=False,
            )
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
def test_a_resumed_run_ends_as_an_undisturbed_one(train, adopting, tmp_path, after):
    """Interrupted before, when and after the average is adopted; bit for bit."""
    folder, found = adopting
    again = train(interrupted(folder, after, tmp_path / "run"), 2)
    assert all(same(found[step], again[step]) for step in found)


@pytest.fixture(scope="module")
def trained_once(people, one_block_throughout, tmp_path_factory):
    """The folder of a training, which nobody changes."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    train_small(people, run_dir=folder)
    return folder


@pytest.fixture
def finished(trained_once, tmp_path):
    """A copy of it."""
    return shutil.copytree(trained_once, tmp_path / "finished")


def train_small(people, chosen=None, run_dir=None, seed=3, epochs=1, how=None, **changes):
    """An epoch of three steps of the one block, on one device."""
    chosen = chosen or Architecture.separate("resnet18")
    recipe = Recipe(epochs=epochs).with_values(**{**SMALL, **changes})
    how = {"width": 1 / 16, "progress": False, **(how or {})}
    return train_network(people, chosen, recipe, run_dir=run_dir, seed=seed, **how)


def test_without_a_folder_the_run_lies_in_one_that_vanishes_with_the_network(people, one_block):
    model = train_small(people)
    folder = model.run.path
    assert model.checkpoint.path.parent.parent == folder and folder.is_dir()
    assert (model.checkpoint.step, model.weights) == (3, "average")
    assert Architecture.load(folder) == Architecture.separate("resnet18")
    vectors = model.embed_dataset(people)
    assert vectors.shape == (len(people.test), model.embedding_size)
    del model
    gc.collect()
    assert not folder.exists()


def test_names_of_people_are_kept_with_the_weights(people, finished):
    """In the order of the classifier's outputs; where people have numbers, nothing is kept."""
    assert "people" not in RunFolder(finished).newest().metadata
    named = dataclasses.replace(people, names=tuple("zyxwvut"))
    kept = train_small(named).checkpoint.metadata["people"]
    assert kept == [named.names[pid] for pid in sorted(set(people.train.pids))]


def test_where_it_lies_makes_no_difference(people, finished):
    """Nor does that another run came before, from other random numbers."""
    third, one = train_small(people, seed=4).checkpoint, train_small(people).checkpoint
    other = RunFolder(finished).newest()
    assert same(one, other) and one.digest == other.digest
    assert not same(one, third)


def test_a_finished_run_is_read_and_nothing_is_computed(people, finished, tmp_path, monkeypatch):
    first = load_network(finished)
    files = {path: path.read_bytes() for path in finished.rglob("*.*") if path.is_file()}

    def must_not_run(*_):
        raise AssertionError("a step was taken")

    monkeypatch.setattr(trainer, "gradient_step", must_not_run)
    again = train_small(people, run_dir=finished)
    assert again.checkpoint.digest == first.checkpoint.digest
    np.testing.assert_allclose(again.embed_dataset(people), first.embed_dataset(people), atol=1e-6)
    assert {path: path.read_bytes() for path in finished.rglob("*.*") if path.is_file()} == files
    with pytest.raises(AssertionError, match="a step was taken"):
        train_small(people, run_dir=tmp_path / "another")


def test_another_run_is_refused_by_what_differs(people, finished):
    """Options, seed, width, images and architecture; the folder stays as it was."""
    files = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    others = people.of_modality("visible")
    for given, message in (
        ({"erase_probability": 0.1}, r"other settings \(erase_probability=0\.5 then, 0\.1 now\)"),
        (
            {"epochs": 2, "schedule": "cosine"},
            r"epochs=1 then, 2 now, schedule='steps' then, 'cosine' now\)\. Give the same ones",
        ),
        ({"margin": 0.3, "pad": 2}, r"\(pad=1 then, 2 now, margin=0\.4 then, 0\.3 now\)"),
        ({"seed": 5}, r"\(seed=3 then, 5 now\)"),
        ({"how": {"width": 0.125}}, r"\(width=0\.0625 then, 0\.125 now\)"),
        ({"how": {"last_stride": 2}}, r"\(last_stride=1 then, 2 now\)"),
        (
            {"chosen": Architecture.shared("resnet18")},
            rf"`architecture` is not the one that run_dir={finished} began with, which is in",
        ),
    ):
        with pytest.raises(BadInput, match=message):
            train_small(people, run_dir=finished, **given)
    with pytest.raises(BadInput, match=r"other settings \(correlation_weight=5\.0 then, 0\.0 now"):
        train_small(others, run_dir=finished)
    found = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    assert found == files


def test_a_finished_run_is_trained_further(people, one_block, tmp_path, caplog):
    """To where a run of as many epochs from the beginning comes, bit for bit; never back."""
    how = {"average_decay": 0.5, "adopt_average_every": 1, "decay_epochs": (2.0,)}
    short = train_small(people, run_dir=tmp_path / "grown", epochs=1, **how)
    with caplog.at_level("INFO"):
        grown = train_small(people, run_dir=tmp_path / "grown", epochs=3, **how)
    assert f"{tmp_path / 'grown'} goes on from epochs=1 to 3." in caplog.text
    at_once = train_small(people, run_dir=tmp_path / "at_once", epochs=3, **how)
    assert (short.checkpoint.step, grown.checkpoint.step) == (3, 9)
    assert same(grown.checkpoint, at_once.checkpoint)
    assert grown.checkpoint.digest == at_once.checkpoint.digest
    with pytest.raises(BadInput, match=r"\(epochs=3 then, 2 now\)"):
        train_small(people, run_dir=tmp_path / "grown", epochs=2, **how)
    with pytest.raises(BadInput, match=r"\(margin=0\.4 then, 0\.3 now\)"):
        train_small(people, run_dir=tmp_path / "grown", epochs=4, margin=0.3, **how)


def test_a_cosine_that_has_ended_is_not_lengthened(people, one_block, tmp_path):
    """Each of its steps was another one than in a longer run."""
    train_small(people, run_dir=tmp_path, schedule="cosine")
    with pytest.raises(BadInput, match=r"\(epochs=1 then, 2 now\)"):
        train_small(people, run_dir=tmp_path, epochs=2, schedule="cosine")


def test_agw_is_trained_and_resumed(people, one_block, tmp_path):
    """Its parts learn, are resumed bit for bit, and are part of what the run is."""
    parts = NetworkParts(separate_stem=True, non_local=(1, 0, 0, 0), pooling="gem_trained")
    losses = {"triplet_weight": 0.0, "weighted_triplet_weight": 1.0, "center_weight": 0.1}
    colours = {"channel_mixing_probability": 0.5, "color_jitter": 0.3}
    options = {**losses, **colours, "optimizer": "sgd", "nesterov": True}
    how = {"parts": parts, "checkpointing": Checkpointing(checkpoint_every="1", keep_checkpoints=9)}
    given = {"chosen": Architecture.separate_until("stem", "resnet18"), "how": how, **options}
    whole = train_small(people, run_dir=tmp_path / "whole", epochs=2, **given)
    again = interrupted(tmp_path / "whole", 2, tmp_path / "again")
    resumed = train_small(people, run_dir=again, epochs=2, **given)
    assert same(whole.checkpoint, resumed.checkpoint)
    first = checkpoints.read(whole.run.checkpoints().paths()[0])
    for name in (
        "network/backbone.conv1.infrared.kernel",
        "network/backbone.layer1.0.non_local.W.kernel",
        "network/backbone.layer1.0.non_local.norm.gamma",
        "network/head.power",
    ):
        assert (first.tensors[name] != whole.checkpoint.tensors[name]).any(), name
    assert whole.specification.parts == parts
    with pytest.raises(BadInput, match=r"\(pooling='gem_trained' then, 'gem' now\)"):
        how["parts"] = dataclasses.replace(parts, pooling="gem")
        train_small(people, run_dir=again, epochs=2, **given)


def test_a_resumed_run_has_its_own_weights(people, finished, tmp_path, monkeypatch):
    """The initial ones are not loaded again; but they must be the same, wherever they lie now."""
    initial = tmp_path / "initial.safetensors"
    shutil.copy(RunFolder(finished).newest().path, initial)
    calls = []
    start_from = initial_weights.start_from

    def noting(*given):
        calls.append(given[1])
        return start_from(*given)

    monkeypatch.setattr(initial_weights, "start_from", noting)
    run = tmp_path / "run"
    one = train_small(people, run_dir=run, initial_weights=str(initial))
    assert calls == [str(initial)]
    moved = shutil.move(initial, tmp_path / "moved.safetensors")
    again = train_small(people, run_dir=run, initial_weights=str(moved))
    assert calls == [str(initial)] and again.checkpoint.digest == one.checkpoint.digest
    another = RunFolder(finished).newest()
    tensors = {name: tensor + 1 for name, tensor in another.tensors.items()}
    checkpoints.write(another.path, another.step, tensors, another.metadata)
    for other in ("", str(another.path), str(finished)):
        with pytest.raises(BadInput, match=r"\(initial_weights='sha256:[0-9a-f]{64}' then, '"):
            train_small(people, run_dir=run, initial_weights=other)


def test_what_a_search_found_is_trained_as_it_is(people, one_block, tmp_path):
    """The object of the search, or the file that it wrote."""
    darts = Darts(epochs=2, warmup_epochs=1).with_values(**SMALL)
    found = find_architecture(
        people, NormSpace("resnet18", width=1 / 16), darts, run_dir=tmp_path / "search",
        progress=False,
    )  # fmt: skip
    direct = train_small(people, found.architecture)
    read = train_small(people, Architecture.load(found.run.path))
    assert direct.specification.architecture == found.architecture
    assert direct.checkpoint.digest == read.checkpoint.digest
    kept = Architecture.load(direct.run.path)
    assert kept == found.architecture
    assert kept.provenance["settings"]["search_space"] == "norm"


def test_what_does_not_fit_each_other_is_refused_and_leaves_no_folder(people, one_block, tmp_path):
    visible = people.of_modality("visible")
    for dataset, changes, message in (
        (people, {"identities_per_batch": 5}, "identities_per_batch=5, but there are only 4"),
        (visible, {"mmd_weight": 1.0}, r"mmd compare two .*\(`mmd_weight`, and"),
        (people, {"initial_weights": str(tmp_path / "none")}, "`initial_weights`: No checkpoint"),
        (people, {"initial_weights": str(tmp_path)}, "holds no checkpoint"),
    ):
        with pytest.raises(BadInput, match=message):
            train_small(dataset, run_dir=tmp_path / "run", **changes)
        assert not (tmp_path / "run").exists()
    with pytest.raises(BadInput, match="checkpoint_every='often' must be epoch"):
        train_small(people, how={"checkpointing": Checkpointing(checkpoint_every="often")})

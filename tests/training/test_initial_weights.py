"""Initial weights: what a search or a training starts from."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from cmnas_tf.architecture import Architecture
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.data.synthetic import write_dataset
from cmnas_tf.data.synthetic_plan import SyntheticPeople
from cmnas_tf.errors import BadInput
from cmnas_tf.layers import Softmax
from cmnas_tf.models import two_stream
from cmnas_tf.runs import checkpoints
from cmnas_tf.search_spaces import DartsCells, NormSpace
from cmnas_tf.training import initial_weights
from cmnas_tf.training.initial_weights import start_from
from tests.models.genotypes import EVERYTHING
from tests.weights.states import random_state, torchvision_shapes

WIDTH = 1 / 16
MIXED = Architecture.separate_until("layer2", "resnet18")


def network_of(architecture=MIXED, classes=3):
    return two_stream(architecture, classes, "resnet18", width=WIDTH)


def supernet():
    return NormSpace("resnet18", width=WIDTH).supernet(Softmax(), 3)


def random_weights(network, seed):
    """Gives every variable of a network random values; returns them by path."""
    rng = np.random.default_rng(seed)
    for variable in network.weights:
        variable.assign(rng.standard_normal(variable.shape))
    return {path: variable.numpy() for path, variable in network.get_weight_paths().items()}


def write(path, metadata=None, **parts):
    tensors = {
        f"{part}/{n}": array for part, arrays in parts.items() for n, array in arrays.items()
    }
    checkpoints.write(path, 1, tensors, metadata or {})
    return path


def values(network):
    return {path: variable.numpy() for path, variable in network.get_weight_paths().items()}


def assert_same(found, expected):
    assert set(found) == set(expected)
    for path, array in expected.items():
        np.testing.assert_array_equal(found[path], array, err_msg=path)


@pytest.fixture
def said(caplog):
    """What was logged since it was last asked, a line each."""
    caplog.set_level(logging.INFO, "cmnas_tf")

    def said():
        lines = "\n".join(caplog.messages)
        caplog.clear()
        return lines

    return said


def test_the_average_of_a_training(tmp_path, said):
    """The neck and the classifier are for other identities here and stay fresh."""
    live, average = (random_weights(network_of(), seed) for seed in (1, 2))
    path = write(tmp_path / "a", network=live, average=average, weight_optimizer={"0": np.ones(1)})
    start_from(network := network_of(), str(path))
    assert_same(values(network), average)
    assert (message := said()).startswith(f"initial weights {path}: ") and "fresh" not in message

    network = network_of(classes=4)
    before = values(network)
    start_from(network, str(path))
    head = {name: array for name, array in before.items() if name.startswith("head.")}
    assert len(head) == 5
    assert_same(values(network), average | head)
    shown = said()
    assert "none that fits: bnneck.weight" in shown and "classifier.weight" in shown


def test_a_derived_network_inherits_the_weights_of_its_search(tmp_path, said):
    """Each site takes the norms it has of the supernet's three; the logits are no weights."""
    searched = random_weights(supernet(), 1)
    path = write(tmp_path / "a", network=searched)
    start_from(network := network_of(), str(path))
    assert_same(values(network), {name: searched[name] for name in values(network)})
    assert "does not use: backbone.bn1.sharable_bn" in " ".join(said().split())


def test_a_search_starts_from_weights_with_fresh_logits(tmp_path):
    searched = random_weights(supernet(), 1)
    network = supernet()
    start_from(network, str(write(tmp_path / "a", network=searched)), supernet=True)
    logits = {name: np.zeros(2) for name in searched if name.endswith("architecture_logits")}
    assert len(logits) == 20
    assert_same(values(network), searched | logits)


def test_a_shared_norm_is_the_start_of_separate_ones(tmp_path):
    shared = random_weights(network_of(Architecture.shared("resnet18")), 1)
    start_from(network := network_of(), str(write(tmp_path / "a", network=shared)))
    stem = network.backbone.bn1
    for norm in (stem.visible, stem.infrared):
        np.testing.assert_array_equal(norm.gamma, shared["backbone.bn1.shared.gamma"])
        np.testing.assert_array_equal(norm.moving_mean, shared["backbone.bn1.shared.moving_mean"])


def test_imagenet(tmp_path, monkeypatch):
    """The word stands for the file of the backbone."""
    state = random_state(torchvision_shapes("resnet18", filters=4))
    asked = []

    def imagenet_file(backbone, progress):
        asked.append(backbone)
        save_file(state, tmp_path / "a.safetensors")
        return tmp_path / "a.safetensors"

    monkeypatch.setattr(initial_weights, "imagenet_file", imagenet_file)
    network = supernet()
    start_from(network, "imagenet", supernet=True)
    assert asked == ["resnet18"]
    for norm in network.backbone.bn1.branches().values():
        np.testing.assert_array_equal(norm.moving_variance, state["bn1.running_var"])


def test_there_is_no_imagenet_network_of_cells(tmp_path):
    """Not even for as many cells as ResNet-18 has blocks; nothing is fetched."""
    plan = CellPlan(EVERYTHING)
    network = two_stream(Architecture.shared(plan), 3, plan, width=1 / 64)
    with pytest.raises(BadInput, match=r"initial_weights=imagenet: .*not of a network of cells"):
        start_from(network, "imagenet")


def test_a_network_of_cells_takes_every_weight_of_another(tmp_path):
    """The biases of the part-aware operations too."""
    plan = CellPlan(EVERYTHING, (1, 1))
    given, network = (two_stream(Architecture.shared(plan), 3, plan, width=1 / 32) for _ in "12")
    expected = random_weights(given, 1)
    assert sum(name.endswith("bias") for name in expected) == 6
    start_from(network, str(write(tmp_path / "a", average=expected)))
    assert_same(values(network), expected)


def test_derived_cells_do_not_inherit_the_weights_of_their_search(tmp_path):
    """A supernet's operations have other names and no scales; nothing is loaded, and it is said
    why. Another search of the same cells takes them."""
    plan, space = CellPlan(EVERYTHING, (1,)), DartsCells((1,), WIDTH)
    searched, again = (space.supernet(Softmax(), 3) for _ in "12")
    path = write(
        tmp_path / "a", {"settings": {"search_space": "darts_cells"}}, network=values(searched)
    )
    network = two_stream(Architecture.shared(plan), 3, plan, width=WIDTH)
    before = values(network)
    with pytest.raises(
        BadInput, match=r"not fit .*a checkpoint of a search, .* Leave `initial_weights` ou"
    ):
        start_from(network, str(path))
    assert_same(values(network), before)
    start_from(again, str(path), supernet=True)
    assert_same(values(again), values(searched))


@pytest.fixture
def no_network(tmp_path, monkeypatch):
    """Whatever is fetched goes through a proxy that is not there; the cache is empty."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("urllib.request._opener", None)  # urllib keeps the first one's proxies


def test_imagenet_without_a_network(tmp_path, no_network):
    """The message says which file, and what to do without; nothing is kept of it."""
    network = network_of()
    before = values(network)
    url = r"https://huggingface\.co/timm/resnet18\.tv_in1k/\S+/model\.safetensors"
    with pytest.raises(BadInput, match=rf"resnet18 could not be fetched from {url} .*by hand"):
        start_from(network, "imagenet")
    assert_same(values(network), before)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_folder_of_a_run_stands_for_its_newest_checkpoint(tmp_path):
    older, newer = (random_weights(network_of(), seed) for seed in (1, 2))
    folder = tmp_path / "run" / "checkpoints"
    write(folder / "step-00000002.safetensors", network=older)
    write(folder / "step-00000010.safetensors", network=newer)
    start_from(network := network_of(), str(tmp_path / "run"))
    assert_same(values(network), newer)
    with pytest.raises(BadInput, match=rf"The folder {tmp_path} holds no checkpoint\. It takes a"):
        start_from(network, str(tmp_path))


def test_what_cannot_be_started_from(tmp_path):
    """No such file, another program's, another architecture, another backbone."""
    separate = random_weights(network_of(Architecture.separate("resnet18")), 1)
    other = two_stream(Architecture.shared("resnet34"), 3, "resnet34", width=WIDTH)
    save_file({"conv1.weight": np.ones(3)}, tmp_path / "torch.safetensors")
    network = network_of()
    before = values(network)
    for name, message in (
        (tmp_path / "absent", r"No checkpoint .*absent.* or the word imagenet"),
        (tmp_path / "torch.safetensors", r"not a checkpoint .* by `import_weights`"),
        (
            write(tmp_path / "a", network=separate),
            rf"initial_weights={tmp_path}/a: .* 40 missing: backbone\.layer3\.0\.bn1\.sh",
        ),
        (write(tmp_path / "b", network=values(other)), r"weights of resnet34 .*=resnet34,"),
    ):
        with pytest.raises(BadInput, match=message):
            start_from(network, str(name))
    assert_same(values(network), before)


@pytest.fixture
def run(tmp_path):
    """Runs ``python -m cmnas_tf.<command>`` on four synthetic people, in a process."""
    people = SyntheticPeople(train_identities=4, test_identities=2, image_height=32, image_width=16)
    write_dataset(people, tmp_path / "data", processes=1)
    flags = ["--backbone=resnet18", f"--width={WIDTH}", "--image_height=32", "--image_width=16"]
    flags += ["--identities_per_batch=4", "--images_per_identity=2", "--noprogress"]
    flags += [f"--data_dir={tmp_path / 'data'}", f"--run_dir={tmp_path / 'run'}"]

    def run(command, *more):
        return subprocess.run(
            [sys.executable, "-m", f"cmnas_tf.{command}", *flags, *more],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.slow
def test_a_training_starts_from_them(tmp_path, run):
    """With learning rates of 0 the kernels, and their average, are still the given ones."""
    given = random_weights(network_of(Architecture.shared("resnet18")), 1)
    given = {name: np.exp(0.1 * array) for name, array in given.items()}
    weights = write(tmp_path / "given.safetensors", average=given)
    fixed = ("--epochs=1", "--backbone_learning_rate=0", "--head_learning_rate=0")
    done = run("train", *fixed, f"--initial_weights={weights}")
    assert done.returncode == 0, done.stderr
    assert f"note: initial weights {weights}: " in done.stderr
    found = checkpoints.Checkpoints(tmp_path / "run" / "checkpoints").newest().tensors
    kernels = [name for name in given if name.startswith("backbone.") and name.endswith("kernel")]
    assert len(kernels) == 20
    for name in kernels:
        np.testing.assert_array_equal(found[f"network/{name}"], given[name])
        np.testing.assert_allclose(found[f"average/{name}"], given[name], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["search", "train"])
def test_imagenet_without_a_network_leaves_no_folder(tmp_path, run, no_network, command):
    done = run(command, "--initial_weights=imagenet")
    assert done.returncode == 2
    assert "error: The ImageNet weights of resnet18 could not be fetched" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_search_that_cannot_start_from_them_leaves_no_folder(tmp_path, run):
    other = two_stream(Architecture.shared("resnet34"), 3, "resnet34", width=WIDTH)
    weights = write(tmp_path / "other.safetensors", network=values(other))
    done = run("search", f"--initial_weights={weights}")
    assert done.returncode == 2
    assert "weights of resnet34 and the network is a resnet18" in done.stderr
    assert not (tmp_path / "run").exists()

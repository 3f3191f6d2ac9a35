"""PyTorch's weights become a checkpoint that every command takes, or nothing is written."""

import json
import re
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from cmnas_tf.architecture import Architecture
from cmnas_tf.commands import command_line
from cmnas_tf.commands.import_weights import ImportWeights, main
from cmnas_tf.data.augmentation import ImageSize
from cmnas_tf.data.index import Image, Images
from cmnas_tf.data.pipeline import ImageSource
from cmnas_tf.errors import BadInput
from cmnas_tf.layers import Softmax
from cmnas_tf.modality import MODALITIES
from cmnas_tf.models import two_stream
from cmnas_tf.network_parts import NetworkParts
from cmnas_tf.retrieval.embed import embed
from cmnas_tf.runs import checkpoints
from cmnas_tf.search_spaces import NormSpace
from cmnas_tf.search_spaces.named_architecture import NetworkChoice
from cmnas_tf.serving.encoder import Encoder
from cmnas_tf.serving.export_torch import export_torch
from cmnas_tf.training.import_weights import import_weights
from cmnas_tf.training.initial_weights import start_from
from cmnas_tf.training.trained import load_network
from cmnas_tf.weights.torch_names import from_torchvision, full_state, to_torch, torch_variables
from tests.weights.states import (
    RESNETS,
    STATISTICS,
    authors_shapes,
    random_state,
    torchvision_shapes,
    with_counters,
)

FILTERS = 4
TINY = ImageSize(64, 32)
NARROW = {"size": TINY, "width": FILTERS / 64}
MIXED = Architecture.separate_until("layer2", "resnet18")


def authors(classes=5, seed=0, backbone="resnet18"):
    return with_counters(random_state(authors_shapes(backbone, classes, FILTERS), seed))


def imagenet(backbone="resnet18"):
    return with_counters(random_state(torchvision_shapes(backbone, FILTERS)))


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.cfg"
    path.write_text(MIXED.to_cfg())
    return path


@pytest.fixture
def output(tmp_path):
    return tmp_path / "new" / "imported.safetensors"


def command(weights, output, *flags):
    """That of a narrow ResNet-18 on small images."""
    small = ("--backbone=resnet18", "--width=0.0625", "--image_height=64", "--image_width=32")
    argv = ["", f"--file={weights}", f"--output={output}", *small, *flags]
    return command_line.read(ImportWeights, argv)


def saved(tmp_path, state, name="weights.safetensors"):
    save_file(state, tmp_path / name)
    return tmp_path / name


def assert_holds(network, state):
    found = full_state(network)
    for name, array in state.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_the_authors_weights(tmp_path, config, output, capsys):
    """Five identities, known from the classifier; both states of the checkpoint are the same."""
    state = authors()
    path = saved(tmp_path, {f"module.{name}": array for name, array in state.items()})
    main(command(path, output, f"--architecture={config}", "--last_stride=2"))
    shown = " ".join(capsys.readouterr().out.split())
    assert "does not use: backbone.bn1.sharable_bn, " in shown and "61 batch counters" in shown
    assert shown.endswith(f"written to {output}")
    for weights in ("live", "average"):
        trained = load_network(output, weights)
        specification = trained.specification
        assert specification.architecture == MIXED
        assert (specification.num_classes, specification.last_stride) == (5, 2)
        assert (specification.height, specification.width) == (64, 32)
        norms = trained.network.backbone.norms()
        np.testing.assert_array_equal(
            norms["layer2.0.downsample"].infrared.moving_variance,
            state["backbone.layer2.0.downsample.bn.thermal_bn.running_var"],
        )
        in_use = torch_variables(trained.network)
        assert len(in_use) == len(trained.network.weights)
        assert_holds(trained.network, {name: state[name] for name in in_use})
    provenance = trained.checkpoint.metadata
    assert provenance["settings"]["file"] == str(path) and provenance["versions"]
    json.dumps(provenance)


def test_model_and_ema_of_the_authors_checkpoint(tmp_path, output):
    """``--weights=live`` of the commands is their ``model``, ``average`` their ``ema``."""
    torch = pytest.importorskip("torch")
    states = {"model": authors(seed=1), "ema": authors(seed=2)}
    content = {
        key: {f"module.{name}": torch.from_numpy(array) for name, array in state.items()}
        for key, state in states.items()
    }
    path = tmp_path / "checkpoint.pth.tar"
    torch.save({"epoch": 3, **content, "optimizer": {"state": {}, "param_groups": []}}, path)
    report = import_weights(path, output, MIXED, **NARROW)
    for weights, key in (("live", "model"), ("average", "ema")):
        network = load_network(output, weights).network
        assert_holds(network, {name: states[key][name] for name in report.loaded})


def test_imagenet_weights(tmp_path, output):
    """Without an architecture all is shared; the neck changes nothing but for its epsilon."""
    state = imagenet()
    path, shared = saved(tmp_path, state), Architecture.shared("resnet18")
    report = import_weights(path, output, backbone="resnet18", **NARROW)
    trained = load_network(output)
    assert trained.specification.architecture == shared
    for again, make in (
        ("given", lambda new: import_weights(path, new, shared, **NARROW)),
        ("by the command", lambda new: main(command(path, new))),
    ):
        make(output.with_name(again))
        same = load_network(output.with_name(again))
        assert same.specification == trained.specification
        assert same.checkpoint.digest == trained.checkpoint.digest
    assert set(report.left_out) == {"fc.weight", "fc.bias"}
    norm = trained.network.backbone.norms()["layer3.0.downsample"].shared
    np.testing.assert_array_equal(norm.gamma, state["layer3.0.downsample.1.weight"])
    found = trained.network.embed(np.ones((2, 64, 32, 3), np.float32), "infrared")
    np.testing.assert_allclose(found.embedding, found.pooled, rtol=1e-5)


def test_imagenet_weights_for_an_architecture(tmp_path, output):
    """Written twice, the files are the same: nothing in them is random."""
    path = saved(tmp_path, imagenet())
    digests = []
    for name in ("a", "b"):
        made = output.with_name(name)
        import_weights(path, made, Architecture.separate("resnet18"), **NARROW)
        trained = load_network(made)
        norm = trained.network.backbone.norms()["stem"]
        assert set(norm.branches()) == {"visible", "infrared"}
        np.testing.assert_array_equal(norm.visible.moving_mean, norm.infrared.moving_mean)
        digests.append(trained.checkpoint.digest)
    assert digests[0] == digests[1]


SLOW = {backbone: pytest.mark.slow for backbone in ("resnet101", "resnet152")}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    "backbone", [pytest.param(name, marks=SLOW.get(name, ())) for name in RESNETS]
)
def test_imagenet_weights_of_every_backbone(tmp_path, output, backbone, suffix):
    """Torchvision's names, every key of them: loaded, a counter, or the classifier ``fc``."""
    state = imagenet(backbone)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch = pytest.importorskip("torch")
        torch.save({name: torch.from_numpy(array) for name, array in state.items()}, path)
    else:
        save_file(state, path)
    report = import_weights(path, output, Architecture.shared(backbone), width=FILTERS / 64)
    ours = from_torchvision(state)
    assert {*report.loaded, *report.counters, *report.left_out} == set(ours)
    assert set(report.left_out) == {"fc.weight", "fc.bias"}
    network = load_network(output).network
    assert len(report.loaded) == len(network.backbone.weights)
    assert_holds(network, {name: ours[name] for name in report.loaded})


@pytest.fixture(scope="module", params=["", "shared", "separate", "until:layer2"])
def imported(request, tmp_path_factory):
    """ImageNet weights, imported without an architecture and for three; and what they were."""
    folder = tmp_path_factory.mktemp("imported")
    state = imagenet()
    output = folder / "imagenet.safetensors"
    main(command(saved(folder, state), output, f"--architecture={request.param}"))
    return output, state


@pytest.mark.parametrize("architecture", [None, "shared", "separate", "until:layer2"])
def test_imported_imagenet_weights_start_searches_and_trainings(imported, tmp_path, architecture):
    """Whatever they were imported for: every norm of the network, statistics too, is ImageNet's;
    None stands for a search, where each site has three."""
    path, state = imported
    if architecture is None:
        network = NormSpace("resnet18", width=FILTERS / 64).supernet(Softmax(), 3)
        start_from(network, str(path), supernet=True)
    else:
        found = NetworkChoice(architecture=architecture, backbone="resnet18").make()
        network = two_stream(found, 3, "resnet18", width=FILTERS / 64)
        start_from(network, str(path))
    norms = 0
    for site, norm in network.backbone.norms().items():
        name = "bn1" if site == "stem" else site.replace("downsample", "downsample.1")
        for branch in norm.branches().values():
            variables = (branch.gamma, branch.beta, branch.moving_mean, branch.moving_variance)
            for variable, statistic in zip(variables, STATISTICS, strict=True):
                np.testing.assert_array_equal(variable, state[f"{name}.{statistic}"])
            norms += 1
    assert norms == {None: 60, "shared": 20, "separate": 40, "until:layer2": 30}[architecture]
    kernels = [conv for conv in state if re.search(r"(conv\d|downsample\.0)\.weight$", conv)]
    names = from_torchvision(dict.fromkeys(kernels))
    for theirs, ours in zip(kernels, names, strict=True):
        np.testing.assert_array_equal(
            to_torch(torch_variables(network)[ours].numpy()), state[theirs]
        )


def refused(message, weights, output, architecture=None):
    with pytest.raises(BadInput, match=message):
        import_weights(weights, output, architecture, **NARROW)
    assert not output.parent.exists()


@pytest.mark.parametrize(
    "entries, message",
    [
        (["1"] * 52, r"config\.cfg .*has 52 entries; resnet50 has 53 sites"),
        (["0"] * 54, r"config\.cfg .*has 54 entries; resnet50 has 53 sites"),
        (["1"] * 9 + ["2"] + ["1"] * 43, r"Entry 9 .* \(site layer1\.2\.bn2\) is '2'"),
    ],
)
def test_a_wrong_architecture_line(tmp_path, config, output, entries, message):
    config.write_text(" ".join(entries))
    path = saved(tmp_path, authors(backbone="resnet50"))
    with pytest.raises(BadInput, match=message):
        main(command(path, output, f"--architecture={config}", "--backbone=resnet50"))
    assert not output.parent.exists()


def test_two_stream_weights_need_an_architecture(tmp_path, output):
    """A backbone is none: shared everywhere, what was learnt apart would be left out."""
    message = r"weights\.safetensors does not say which .*; give `architecture`"
    path = saved(tmp_path, authors())
    refused(message, path, output)
    with pytest.raises(BadInput, match=message):
        main(command(path, output))
    assert not output.parent.exists()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"backbone.bn1.visible_bn.weight": np.ones(5)}, r"1 of the wrong shape: backbone\.bn1\."),
        ({"backbone.layer1.0.se.weight": np.ones(4)}, r"1 unknown: backbone\.layer1\.0\.se\."),
        ({"classifier.weight": np.ones(())}, r"1 of the wrong shape: classifier\.weight"),
        ({"classifier.bias": np.ones(5)}, r"1 unknown: classifier\.bias\."),
        ({"bnneck.weight": None}, r"1 missing: bnneck\.weight\."),
    ],
)
def test_a_key_that_does_not_fit(tmp_path, output, change, message):
    state = {name: array for name, array in (authors() | change).items() if array is not None}
    refused(rf"weights\.safetensors: .*{message}", saved(tmp_path, state), output, MIXED)


def test_weights_of_another_backbone(tmp_path, output):
    path = saved(tmp_path, imagenet())
    refused("weights of resnet18 and the network is a resnet50", path, output)


def test_files_that_cannot_be_read_or_written(tmp_path, output):
    path = saved(tmp_path, imagenet())
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:-1])
    refused(r"cut\.safetensors .*truncated", tmp_path / "cut.safetensors", output)
    refused(r"No weight file .*absent", tmp_path / "absent", output)
    before = path.read_bytes()
    with pytest.raises(BadInput, match=r"output=.* is empty or exists"):
        import_weights(path, path, **NARROW)
    with pytest.raises(BadInput, match=r"output='' is empty or exists"):
        import_weights(path, "", **NARROW)
    assert path.read_bytes() == before


def test_pickles_that_cannot_be_read(tmp_path, output, monkeypatch):
    """One that holds code, which is not run; one that is cut off; and none at all can be read where
    PyTorch is not installed."""
    torch = pytest.importorskip("torch")
    tensors = {name: torch.from_numpy(array) for name, array in imagenet().items()}

    class Code:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    whole, cut, code = (tmp_path / f"{name}.pth" for name in ("whole", "cut", "code"))
    torch.save(tensors, whole)
    cut.write_bytes(whole.read_bytes()[:-100])
    torch.save({**tensors, "conv1.weight": Code()}, code)
    refused(r"code\.pth asks for .* it was not read", code, output)
    assert not (tmp_path / "ran").exists()
    torch.load(code, weights_only=False)
    assert (tmp_path / "ran").exists()  # it would have
    refused(r"cut\.pth .*truncated", cut, output)
    monkeypatch.setitem(sys.modules, "torch", None)
    refused(r"whole\.pth .* PyTorch .*pip install .*\[torch\]", whole, output)


@pytest.mark.slow
def test_the_golden_network_through_a_file(tmp_path, goldens, output, monkeypatch):
    """The authors' program and this one give the same embeddings of the same weights; so do what
    evaluation compares and what is exported, and the weights go out again bit for bit."""
    golden = goldens.load("two_stream_resnet50.npz")
    shapes = authors_shapes("resnet50", classes=7)
    state = {name: goldens.weight(name, shape) for name, shape in shapes.items()}
    config = tmp_path / "config.cfg"
    config.write_text(" ".join(map(str, golden["architecture"])))
    path = saved(tmp_path, state)
    report = import_weights(path, output, Architecture.load(config))
    trained = load_network(output)
    network = trained.network
    encoder = Encoder(network, trained.specification)
    for modality in MODALITIES:
        images = goldens.images(modality, 2)
        found = network.embed(images, modality)
        for field in ("pooled", "embedding"):
            assert_close(getattr(found, field), golden[f"eval_{modality}_{field}"])
        encode = tf.function(partial(encoder, modality=modality))
        assert_close(encode(images), golden[f"eval_{modality}_embedding"])

        rows = Images.of([Image(f"{number}.png", number, 1, modality) for number in range(2)])
        monkeypatch.setattr(
            "cmnas_tf.retrieval.embed.test_batches",
            lambda *_, x=images: tf.data.Dataset.from_tensors(x),
        )
        expected = golden[f"eval_{modality}_embedding"].astype(np.float64)
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        assert_close(embed(network, ImageSource(rows, tmp_path, 128, 64), 2), expected)

    folder = tmp_path / "torch"
    export_torch(trained, folder)
    out = load_file(folder / "weights.safetensors")
    assert {name for name in out if "num_batches" not in name} == set(state)
    for name in report.loaded:
        np.testing.assert_array_equal(out[name], state[name], err_msg=name)
    assert (folder / "config.cfg").read_text().split() == config.read_text().split()


def assert_close(actual, expected):
    assert np.abs(actual - expected).max() <= 1e-3 * np.abs(expected).max()


# AGW's network: what an ImageNet ResNet does not have stays as it begins


AGW = NetworkParts(separate_stem=True, non_local=(0, 1, 1, 0), pooling="gem_trained")
STEM = Architecture.separate_until("stem", "resnet18")


def assert_begins_as(network, state):
    """Both first convolutions and norms are ImageNet's; non-local blocks change nothing."""
    found = torch_variables(network)
    for modality, branch in (("visible", "visible_bn"), ("infrared", "thermal_bn")):
        conv = to_torch(found[f"backbone.conv1.{modality}.weight"].numpy())
        np.testing.assert_array_equal(conv, state["conv1.weight"])
        np.testing.assert_array_equal(found[f"backbone.bn1.{branch}.bias"], state["bn1.bias"])
    conv = to_torch(found["backbone.layer2.1.conv2.weight"].numpy())
    np.testing.assert_array_equal(conv, state["layer2.1.conv2.weight"])
    assert not found["backbone.layer2.1.non_local.norm.weight"].numpy().any()
    assert float(found["head.p"]) == 3.0


def test_imagenet_weights_for_agw(tmp_path, output):
    """By the command and in Python alike, and the same file each time."""
    state = imagenet()
    path = saved(tmp_path, state)
    report = import_weights(path, output, STEM, parts=AGW, **NARROW)
    trained = load_network(output)
    assert trained.specification.parts == AGW
    assert_begins_as(trained.network, state)
    assert "backbone.layer3.1.non_local.g.weight" in report.fresh
    flags = ("--separate_stem", "--non_local=0,1,1,0", "--pooling=gem_trained")
    again = output.with_name("again")
    main(command(path, again, "--architecture=until:stem", *flags))
    digests = {load_network(made).checkpoint.digest for made in (output, again)}
    assert len(digests) == 1


def test_agw_starts_from_a_plain_network_and_from_itself(tmp_path, output):
    """From a checkpoint of an ordinary ResNet; then from its own, every variable."""
    state = imagenet()
    import_weights(saved(tmp_path, state), output, backbone="resnet18", **NARROW)
    first, second = (two_stream(STEM, 5, "resnet18", width=FILTERS / 64, parts=AGW) for _ in "ab")
    start_from(first, str(output))
    assert_begins_as(first, state)
    for variable in first.weights:
        variable.assign(variable + 0.25)
    own = {f"network/{path}": v.numpy() for path, v in first.get_weight_paths().items()}
    checkpoints.write(tmp_path / "own.safetensors", 1, own, {})
    start_from(second, str(tmp_path / "own.safetensors"))
    for path, variable in second.get_weight_paths().items():
        np.testing.assert_array_equal(variable, own[f"network/{path}"], err_msg=path)


def test_the_authors_programs_have_no_agw(tmp_path, output):
    import_weights(saved(tmp_path, imagenet()), output, STEM, parts=AGW, **NARROW)
    with pytest.raises(BadInput, match=r"'non_local': \(0, 1, 1, 0\).* has none of these"):
        export_torch(load_network(output), tmp_path / "torch")

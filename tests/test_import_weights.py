"""PyTorch's weights become a checkpoint that every command takes, or nothing is written."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from cmnas_tf import command_line, settings
from cmnas_tf.architecture import Architecture
from cmnas_tf.errors import BadInput
from cmnas_tf.import_weights import import_weights, main
from cmnas_tf.training.trained import load_trained
from cmnas_tf.weights.torch_names import full_state, torch_variables
from tests.weights.states import (
    authors_shapes,
    random_state,
    torchvision_shapes,
    with_counters,
)

FILTERS = 4
TINY = ("--backbone=resnet18", "--width=0.0625", "--image_height=64", "--image_width=32")
MIXED = Architecture.separate_until("layer2", "resnet18")


def authors(classes=5, seed=0, backbone="resnet18"):
    return with_counters(random_state(authors_shapes(backbone, classes, FILTERS), seed))


def imagenet():
    return with_counters(random_state(torchvision_shapes("resnet18", FILTERS)))


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.cfg"
    path.write_text(MIXED.to_cfg())
    return path


@pytest.fixture
def output(tmp_path):
    return tmp_path / "new" / "imported.safetensors"


def options(weights, output, *flags):
    argv = ["", f"--weights={weights}", f"--output={output}", *flags]
    return command_line.read(settings.ImportWeights, argv)


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
    main(options(path, output, *TINY, f"--architecture={config}", "--last_stride=2"))
    shown = " ".join(capsys.readouterr().out.split())
    assert "does not use: backbone.bn1.sharable_bn, " in shown and "61 batch counters" in shown
    assert shown.endswith(f"written to {output}")
    for weights in ("live", "average"):
        trained = load_trained(str(output), "", weights)
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
    assert provenance["settings"]["weights"] == str(path) and provenance["versions"]
    json.dumps(provenance)


def test_model_and_ema_of_the_authors_checkpoint(tmp_path, config, output):
    """``--weights=live`` of the commands is their ``model``, ``average`` their ``ema``."""
    torch = pytest.importorskip("torch")
    states = {"model": authors(seed=1), "ema": authors(seed=2)}
    content = {
        key: {f"module.{name}": torch.from_numpy(array) for name, array in state.items()}
        for key, state in states.items()
    }
    path = tmp_path / "checkpoint.pth.tar"
    torch.save({"epoch": 3, **content, "optimizer": {"state": {}, "param_groups": []}}, path)
    report = import_weights(options(path, output, *TINY, f"--architecture={config}"))
    for weights, key in (("live", "model"), ("average", "ema")):
        network = load_trained(str(output), "", weights).network
        assert_holds(network, {name: states[key][name] for name in report.loaded})


def test_imagenet_weights(tmp_path, output):
    """Without an architecture all is shared; the neck changes nothing but for its epsilon."""
    state = imagenet()
    report = import_weights(options(saved(tmp_path, state), output, *TINY))
    trained = load_trained(str(output), "")
    assert trained.specification.architecture == Architecture.shared("resnet18")
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
        import_weights(options(path, made, *TINY, "--architecture=separate"))
        trained = load_trained(str(made), "")
        norm = trained.network.backbone.norms()["stem"]
        assert set(norm.branches()) == {"visible", "infrared"}
        np.testing.assert_array_equal(norm.visible.moving_mean, norm.infrared.moving_mean)
        digests.append(trained.checkpoint.digest)
    assert digests[0] == digests[1]


def refused(message, weights, output, *flags):
    with pytest.raises(BadInput, match=message):
        import_weights(options(weights, output, *flags))
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
    refused(message, path, output, "--width=0.0625", f"--architecture={config}")


def test_two_stream_weights_need_an_architecture(tmp_path, output):
    refused(
        r"weights\.safetensors does not say which .* --architecture=",
        saved(tmp_path, authors()),
        output,
        *TINY,
    )


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
def test_a_key_that_does_not_fit(tmp_path, config, output, change, message):
    state = {name: array for name, array in (authors() | change).items() if array is not None}
    flags = (*TINY, f"--architecture={config}")
    refused(rf"weights\.safetensors: .*{message}", saved(tmp_path, state), output, *flags)


def test_weights_of_another_backbone(tmp_path, output):
    path = saved(tmp_path, imagenet())
    refused("weights of resnet18 and the network is a resnet50", path, output, "--width=0.0625")


def test_files_that_cannot_be_read_or_written(tmp_path, output):
    path = saved(tmp_path, imagenet())
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:-1])
    refused(r"cut\.safetensors .*truncated", tmp_path / "cut.safetensors", output, *TINY)
    refused(r"No weight file .*absent", tmp_path / "absent", output, *TINY)
    before = path.read_bytes()
    with pytest.raises(BadInput, match=r"--output=.* is empty or exists"):
        import_weights(options(path, path, *TINY))
    with pytest.raises(BadInput, match=r"--output='' is empty or exists"):
        import_weights(options(path, "", *TINY))
    assert path.read_bytes() == before


@pytest.mark.slow
def test_the_golden_network_through_a_file(tmp_path, goldens, output):
    """The authors' program and this one give the same embeddings of the same weights."""
    golden = goldens.load("two_stream_resnet50.npz")
    shapes = authors_shapes("resnet50", classes=7)
    state = {name: goldens.weight(name, shape) for name, shape in shapes.items()}
    config = tmp_path / "config.cfg"
    config.write_text(" ".join(map(str, golden["architecture"])))
    path = saved(tmp_path, state)
    import_weights(options(path, output, f"--architecture={config}"))
    network = load_trained(str(output), "").network
    for modality in ("visible", "infrared"):
        found = network.embed(goldens.images(modality, 2), modality)
        for field in ("pooled", "embedding"):
            expected = golden[f"eval_{modality}_{field}"]
            difference = np.abs(getattr(found, field) - expected).max()
            assert difference <= 1e-3 * np.abs(expected).max()

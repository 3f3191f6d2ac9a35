"""A network goes out to the authors' PyTorch code and comes back, bit for bit."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from cmnas_tf.architecture import Architecture, plan_of
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.commands import command_line
from cmnas_tf.commands.export_torch import ExportTorch, main
from cmnas_tf.data.augmentation import ImageSize
from cmnas_tf.errors import BadInput
from cmnas_tf.models.specification import Specification
from cmnas_tf.serving.export_torch import export_torch
from cmnas_tf.training.import_weights import import_weights
from cmnas_tf.training.trained import load_network
from tests.models.genotypes import EVERYTHING
from tests.serving.networks import write_checkpoint, write_run, write_search
from tests.weights.states import BRANCHES, authors_shapes

FILTERS = 4
SPECIFICATION = Specification(
    Architecture.separate_until("layer2", "resnet18"), 5, 64, 32, width_factor=FILTERS / 64
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose average is not its last step's weights."""
    return write_run(tmp_path_factory.mktemp("run"), SPECIFICATION)


@pytest.fixture(scope="module")
def model(run):
    return load_network(run)


def export_to(folder, *flags):
    main(command_line.read(ExportTorch, ["export_torch", f"--export_dir={folder}", *flags]))


@pytest.mark.parametrize("weights, module_prefix", [("average", False), ("live", True)])
def test_there_and_back(run, tmp_path, weights, module_prefix, capsys):
    folder = tmp_path / "out" / "torch"
    prefix = "--module_prefix" if module_prefix else "--nomodule_prefix"
    export_to(folder, f"--run_dir={run}", f"--weights={weights}", prefix)
    assert str(folder) in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {"weights.safetensors", "config.cfg"}
    assert list(folder.parent.iterdir()) == [folder]
    assert all(
        name.startswith("module.") == module_prefix
        for name in load_file(folder / "weights.safetensors")
    )
    back = tmp_path / "back.safetensors"
    import_weights(
        folder / "weights.safetensors",
        back,
        Architecture.load(folder / "config.cfg", "resnet18"),
        size=ImageSize(image_height=64, image_width=32),
        width=FILTERS / 64,
    )
    found = load_network(back)
    assert found.specification == SPECIFICATION
    before = load_network(run, weights).network.get_weight_paths()
    for path, variable in found.network.get_weight_paths().items():
        np.testing.assert_array_equal(variable, before[path], err_msg=path)


def authors_network(torch, choices):
    """Their network with the numbers of ResNet-18: three norms at each site, whatever is used."""
    nn = torch.nn

    class Norm(nn.Module):
        def __init__(self, channels, site):
            super().__init__()
            self.separate = choices[site] == "separate"
            for branch in BRANCHES:
                self.add_module(branch, nn.BatchNorm2d(channels))

        def forward(self, x, branch):
            return getattr(self, branch if self.separate else "sharable_bn")(x)

    class Downsample(nn.Module):
        def __init__(self, inputs, outputs, stride, site):
            super().__init__()
            self.conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.bn = Norm(outputs, site)

        def forward(self, x, branch):
            return self.bn(self.conv(x), branch)

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride, path):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = Norm(outputs, f"{path}.bn1")
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = Norm(outputs, f"{path}.bn2")
            if inputs != outputs:
                self.downsample = Downsample(inputs, outputs, stride, f"{path}.downsample")

        def forward(self, x, branch):
            shortcut = self.downsample(x, branch) if hasattr(self, "downsample") else x
            y = torch.relu(self.bn1(self.conv1(x), branch))
            return torch.relu(self.bn2(self.conv2(y), branch) + shortcut)

    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, FILTERS, 7, 2, 3, bias=False)
            self.bn1 = Norm(FILTERS, "stem")
            inputs = FILTERS
            for stage, depth in enumerate(plan_of("resnet18").blocks, start=1):
                outputs = FILTERS * 2 ** (stage - 1)
                strides = [2 if stage in (2, 3) else 1] + [1] * (depth - 1)
                blocks = nn.ModuleList()
                for n, stride in enumerate(strides):
                    blocks.append(Block(inputs, outputs, stride, f"layer{stage}.{n}"))
                    inputs = outputs
                self.add_module(f"layer{stage}", blocks)

        def forward(self, x, branch):
            x = torch.relu(self.bn1(self.conv1(x), branch))
            x = nn.functional.max_pool2d(x, 3, 2, 1)
            for stage in range(1, 5):
                for block in self.get_submodule(f"layer{stage}"):
                    x = block(x, branch)
            return x

    class TwoStream(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = Backbone()
            self.bnneck = nn.BatchNorm1d(8 * FILTERS)
            self.classifier = nn.Linear(8 * FILTERS, SPECIFICATION.num_classes, bias=False)

        def forward(self, x, branch):
            return self.bnneck(self.backbone(x, branch).mean(dim=(2, 3)))

    return TwoStream()


@pytest.mark.parametrize("parallel", [False, True])
def test_pytorch_loads_it_strictly_and_computes_the_same(model, tmp_path, parallel):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    folder = export_torch(model, tmp_path / "out", module_prefix=parallel)
    line = (folder / "config.cfg").read_text().strip().split(" ")
    choices = Architecture.from_cfg(" ".join(line), "resnet18").choices
    network = authors_network(torch, choices)
    target = torch.nn.DataParallel(network) if parallel else network
    state = load_file(folder / "weights.safetensors")
    assert set(state) == set(target.state_dict())
    target.load_state_dict(state, strict=True)
    network.eval()
    images = np.random.default_rng(3).standard_normal((2, 64, 32, 3)).astype(np.float32)
    for modality, branch in (("visible", "visible_bn"), ("infrared", "thermal_bn")):
        with torch.no_grad():
            found = network(torch.from_numpy(images.transpose(0, 3, 1, 2)), branch).numpy()
        expected = model.network.embed(images, modality).embedding.numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_every_key_of_the_authors_network_is_there(model, tmp_path):
    state = load_file(export_torch(model, tmp_path / "out") / "weights.safetensors")
    shapes = {name: array.shape for name, array in state.items() if "num_batches" not in name}
    assert shapes == authors_shapes("resnet18", SPECIFICATION.num_classes, FILTERS)
    counters = [array for name, array in state.items() if "num_batches" in name]
    assert len(counters) == 3 * 20 + 1
    assert all(array.shape == () and array.dtype == np.int64 for array in counters)


def test_what_cannot_be_exported(model, tmp_path):
    """Nothing is written, and what is there stays."""
    (tmp_path / "there").mkdir()
    for folder in ("", tmp_path / "there"):
        with pytest.raises(BadInput, match=rf"^export_dir='{folder}' is empty or exists"):
            export_torch(model, folder)
    for run, message in (
        (write_search(tmp_path / "search"), r"is a checkpoint of a search"),
        (tmp_path / "there", r"holds no checkpoint"),
    ):
        with pytest.raises(BadInput, match=message):
            export_to(tmp_path / "out", f"--run_dir={run}")
    assert {path.name for path in tmp_path.iterdir()} == {"there", "search"}
    assert not list((tmp_path / "there").iterdir())


def test_an_interrupted_export_leaves_nothing(model, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cmnas_tf.serving.export_torch.write_text", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export_torch(model, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_network_of_cells_is_refused(tmp_path):
    """Their code has no such network."""
    plan = CellPlan(EVERYTHING, (1,))
    specification = Specification(Architecture.shared(plan), 3, 64, 32, width_factor=1 / 32)
    model = load_network(write_checkpoint(tmp_path / "a.safetensors", specification))
    with pytest.raises(BadInput, match=r"a\.safetensors holds a network of 1 cells, .*ResNets"):
        export_torch(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()

"""Weight files: what is in them comes out, and nothing in them is run."""

import os
import pickle
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from cmnas_tf.errors import BadInput
from cmnas_tf.runs import checkpoints
from cmnas_tf.weights.reader import read_torch_file

STATE = {"conv1.weight": np.arange(6, dtype=np.float32).reshape(3, 2), "n": np.array(7)}


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def assert_same(found, expected=STATE):
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def tensors(torch, state=STATE):
    return {name: torch.from_numpy(np.array(array)) for name, array in state.items()}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_safetensors(tmp_path, prefix):
    path = tmp_path / "a.safetensors"
    save_file({prefix + name: array for name, array in STATE.items()}, path)
    states = read_torch_file(path)
    assert_same(states["live"])
    assert states["average"] is states["live"]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict(tmp_path, torch, zipped):
    """In today's format, and in that of torchvision's first files."""
    path = tmp_path / "a.pth"
    torch.save(tensors(torch), path, _use_new_zipfile_serialization=zipped)
    assert_same(read_torch_file(path)["live"])


def test_the_authors_checkpoint(tmp_path, torch):
    """``model`` is the last step's, ``ema`` the average; their counters are averaged too."""
    average = {"conv1.weight": STATE["conv1.weight"] / 3, "n": np.float32(6.5)}
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
    content = {
        "epoch": 2,
        "model": {f"module.{name}": tensor for name, tensor in tensors(torch).items()},
        "ema": {f"module.{name}": tensor for name, tensor in tensors(torch, average).items()},
        "optimizer": optimizer.state_dict(),
    }
    torch.save(content, tmp_path / "checkpoint.pth.tar")
    states = read_torch_file(tmp_path / "checkpoint.pth.tar")
    assert_same(states["live"])
    assert_same(states["average"], average)

    torch.save({**content, "ema": None}, tmp_path / "checkpoint.pth.tar")
    assert_same(read_torch_file(tmp_path / "checkpoint.pth.tar")["average"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_floats_become_float32(tmp_path, torch, dtype):
    path = tmp_path / "a.pt"
    torch.save({"w": torch.tensor([0.5, -3.0]).to(getattr(torch, dtype))}, path)
    assert_same(read_torch_file(path)["live"], {"w": np.array([0.5, -3.0], np.float32)})


def test_numbers_that_numpy_has_not(tmp_path, torch):
    from safetensors.torch import save_file

    save_file({"w": torch.ones(2).to(torch.float8_e5m2)}, tmp_path / "a.safetensors")
    with pytest.raises(
        BadInput, match=r"a\.safetensors .*holds numbers of a type that NumPy has not"
    ):
        read_torch_file(tmp_path / "a.safetensors")


class Code:
    """Unpickled, it makes the file ``ran``."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder / "ran"),)


def test_code_in_a_pickle_is_not_run(tmp_path, torch):
    """Inside a dict of tensors, as a plain pickle, and as a module of PyTorch."""
    torch.save({**tensors(torch), "x": Code(tmp_path)}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Code(tmp_path), protocol=2))
    torch.save(torch.nn.Linear(2, 2), tmp_path / "c.pth")
    for name, asked in (("a", "mkdir"), ("b", "mkdir"), ("c", "torch.nn.modules.linear.Linear")):
        message = rf"{name}\.pth asks for .*{asked}, .* it was not read"
        with pytest.raises(BadInput, match=message):
            read_torch_file(tmp_path / f"{name}.pth")
    assert not (tmp_path / "ran").exists()
    pickle.loads((tmp_path / "b.pth").read_bytes())
    assert (tmp_path / "ran").exists()  # it would have


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".old.pth"])
def test_a_truncated_file_is_named(tmp_path, kept, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".safetensors":
        save_file(STATE, path)
    else:
        torch = pytest.importorskip("torch")
        torch.save(tensors(torch), path, _use_new_zipfile_serialization=suffix == ".pth")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(BadInput, match=rf"{path.name} .*truncated"):
        read_torch_file(path)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_a_file_of_something_else_is_named(tmp_path, name):
    if name == "a.pth":
        pytest.importorskip("torch")
    (tmp_path / name).write_text("<html>404 Not Found</html>, but long enough for a header")
    with pytest.raises(BadInput, match=rf"{name} is not a .*file"):
        read_torch_file(tmp_path / name)
    with pytest.raises(BadInput, match=r"No weight file .*absent"):
        read_torch_file(tmp_path / f"absent{name}")


@pytest.mark.parametrize(
    "content, found",
    [([1, 2], "list"), ({"epoch": 3, "net": {}}, "epoch, net"), ({}, "dict")],
)
def test_a_file_without_weights_says_what_it_has(tmp_path, torch, content, found):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(BadInput, match=rf"a\.pth holds no state dict \(found: {found}\)"):
        read_torch_file(tmp_path / "a.pth")


def test_weights_that_are_not_finite_are_named(tmp_path):
    save_file({**STATE, "bn1.bias": np.array([0, np.nan], np.float32)}, tmp_path / "a.safetensors")
    with pytest.raises(BadInput, match=r"a\.safetensors: bn1\.bias is not finite"):
        read_torch_file(tmp_path / "a.safetensors")


def test_a_checkpoint_of_this_program_needs_no_import(tmp_path):
    checkpoints.write(tmp_path / "a.safetensors", 1, STATE, {})
    with pytest.raises(BadInput, match=r"is a checkpoint of this program already"):
        read_torch_file(tmp_path / "a.safetensors")


def test_without_pytorch_the_message_says_what_to_do(tmp_path, monkeypatch):
    """Safetensors are read all the same."""
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "a.pth.tar").write_bytes(b"")
    with pytest.raises(BadInput, match=r"a\.pth\.tar .* PyTorch .*pip install .*\[torch\]"):
        read_torch_file(tmp_path / "a.pth.tar")
    save_file(STATE, tmp_path / "a.safetensors")
    assert_same(read_torch_file(tmp_path / "a.safetensors")["live"])


@pytest.mark.parametrize("name", ["a.h5", "a.keras", "a.HDF5"])
def test_files_of_keras_are_called_that(tmp_path, name):
    """Whether or not PyTorch is there."""
    (tmp_path / name).write_bytes(b"\x89HDF\r\n")
    with pytest.raises(BadInput, match=f"{name} is Keras's, and files of PyTorch are read"):
        read_torch_file(tmp_path / name)

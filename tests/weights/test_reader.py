"""Weight files: what is in them comes out, and nothing in them is run."""

import os
import pickle
import sys
import warnings
import zipfile

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


def test_a_tensor_that_is_there_twice(tmp_path):
    """With PyTorch's prefix and without: neither may be dropped without a word."""
    path = tmp_path / "a.safetensors"
    save_file({"w": STATE["conv1.weight"], "module.w": STATE["conv1.weight"] + 1}, path)
    with pytest.raises(BadInput, match=r"a\.safetensors has tensors twice, with `module\.`"):
        read_torch_file(path)


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


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_pickle(path, torch, content, compression=zipfile.ZIP_STORED):
    """What ``torch.save`` writes, but for the pickle in it."""
    torch.save({"w": torch.ones(2)}, path)
    found = {n: content if n.endswith("/data.pkl") else c for n, c in members(path).items()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in found.items():
            archive.writestr(name, data)


# Programs for the unpickler that make the folder FILE, or would with the right arguments.
PROGRAMS = {
    "reduce": b"cos\nmkdir\n(S'FILE'\ntR.",
    "eval": b'c__builtin__\neval\n(S\'__import__("os").mkdir("FILE")\'\ntR.',
    "getattr": b"c__builtin__\ngetattr\n(c__builtin__\ndict\nS'get'\ntR.",
    "inst": b"(S'FILE'\nios\nmkdir\n.",
    "obj": b"(cos\nmkdir\nS'FILE'\no.",
    "stack_global": b"\x80\x04S'os'\nS'mkdir'\n\x93S'FILE'\n\x85R.",
    "newobj": b"\x80\x02cos\nmkdir\nS'FILE'\n\x85\x81.",
    "ext": b"\x80\x02\x82\x01.",
    "another load": b"ctorch\nload\n(S'FILE'\ntR.",
    "build": b"\x80\x02cos\nmkdir\n}X\x09\x00\x00\x00__class__K\x01sb.",
    "deep": b"\x80\x02" + 100_000 * b"]" + 99_999 * b"a" + b".",
    "within itself": b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.",
    "a huge integer": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "a huge text": b"\x80\x02X\xff\xff\xff\x7f.",
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_in_pickles_are_not_run(name, zipped, tmp_path, torch):
    path, program = tmp_path / "a.pt", PROGRAMS[name].replace(b"FILE", os.fsencode(tmp_path / "f"))
    if zipped:
        with_pickle(path, torch, program)
    else:
        path.write_bytes(program)
    with warnings.catch_warnings(), pytest.raises(BadInput, match=r"a\.pt"):
        warnings.simplefilter("ignore")  # of pickle protocol 4
        read_torch_file(path)
    assert not (tmp_path / "f").exists()


def test_a_compressed_file_is_not_unfolded(tmp_path, torch):
    with_pickle(tmp_path / "a.pt", torch, 10**7 * b"]", zipfile.ZIP_DEFLATED)
    with pytest.raises(BadInput, match=r"a\.pt is compressed, and torch\.save compresses nothing"):
        read_torch_file(tmp_path / "a.pt")


def test_numbers_that_are_repeated_are_not_unfolded(tmp_path, torch):
    """Twice may be: a network whose layers share weights."""
    weight = torch.ones(1000)
    torch.save({"a": weight, "b": weight}, tmp_path / "a.pt")
    assert set(read_torch_file(tmp_path / "a.pt")["live"]) == {"a", "b"}
    for shape in ((2**20, 2**20), (10**5,)):
        torch.save({"w": torch.ones(1).expand(shape)}, tmp_path / "a.pt")
        with pytest.raises(BadInput, match=r"a\.pt has tensors of more than 4 times its own bytes"):
            read_torch_file(tmp_path / "a.pt")


def test_tensors_that_are_trained_are_read(tmp_path, torch):
    """As in ``dict(network.named_parameters())``."""
    parameter = torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    torch.save({"w": parameter}, tmp_path / "a.pt")
    assert_same(read_torch_file(tmp_path / "a.pt")["live"], {"w": np.ones(2, np.float32)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda torch: torch.eye(3).to_sparse(), "no state dict"),
        (lambda torch: torch.eye(3).to_sparse_csr(), "no state dict"),
        (lambda torch: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "w is no"),
        (lambda torch: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "w is no"),
        (lambda torch: torch.empty(10, device="meta"), "w is no tensor that NumPy knows"),
        (lambda torch: torch.tensor([1j]), "w is no .*complex numbers"),
        (lambda torch: torch.tensor([1j]).conj(), "w is no tensor that NumPy knows"),
        (lambda torch: torch.ones([1] * 70), "w is no tensor that NumPy knows"),
        (lambda torch: torch.empty([0, 2**40, 2**22]), "w is no tensor that NumPy knows"),
        (lambda torch: torch.Size([3]), "no state dict"),
    ],
    ids=["sparse", "csr", "nested", "qint8", "meta", "complex", "conj", "70", "0", "size"],
)
def test_tensors_that_numpy_has_not(make, message, tmp_path, torch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what PyTorch has deprecated
        torch.save({"w": make(torch)}, tmp_path / "a.pt")
        with pytest.raises(BadInput, match=rf"a\.pt.* {message}"):
            read_torch_file(tmp_path / "a.pt")


def test_an_average_that_is_a_tensor_is_refused(tmp_path, torch):
    for average in (torch.ones(2), torch.ones(0), [1]):
        torch.save({"model": tensors(torch), "ema": average}, tmp_path / "a.pt")
        with pytest.raises(BadInput, match=r"a\.pt holds no state dict \(found: "):
            read_torch_file(tmp_path / "a.pt")


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

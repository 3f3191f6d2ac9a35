"""Files that are damaged or made up: read as they were written, or refused by one kind of error."""

import copy
import io
import json
import os
import shutil
import struct
import zipfile

import numpy as np
import pytest
import scipy.io
from PIL import Image
from safetensors.numpy import save

from cmnas_tf.architecture import Architecture
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.data import load_dataset, mat_file
from cmnas_tf.data.lists import read_identities
from cmnas_tf.data.mat_file import read_mat
from cmnas_tf.data.shard_writer import write_shards
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.results_file import keep, read_results
from cmnas_tf.files import sha256
from cmnas_tf.genotype import Genotype
from cmnas_tf.reading import MOST_BYTES, MOST_DEPTH, parse_json, read_bytes
from cmnas_tf.reports import of_run
from cmnas_tf.reports.of_study import read_charts
from cmnas_tf.runs import checkpoints
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.serving.entries import Entry
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.tiles import opened
from cmnas_tf.weights.reader import read_torch_file
from tests.evaluation.records import record
from tests.models.genotypes import EVERYTHING
from tests.mutations import MUTATIONS, SEED, mutated
from tests.tiny_people import write_people

ROWS = np.eye(6, 4, dtype=np.float32)[[0, 1, 2, 3, 0, 1]]
ENTRIES = [Entry(f"visible/cam1/{n}/a.png", str(n), "1", "visible") for n in range(6)]
TENSORS = {"w": np.ones((2, 3), np.float32), "n": np.array(3)}
IMAGE = {"name": "a.png", "pid": 1, "camera": 3, "score": 1.0}
LOOK = {
    "root": "people",
    "cmc": {"all": [0.5, 1.0]},
    "lists": [{"kind": "worst", "precision": 0.5, "images": [IMAGE, IMAGE]}],
    "cameras": [{"asking": 3, "answering": camera, "mAP": 0.5} for camera in (1, 2)],
    "similarities": {"the same person": [0, 3, 1]},
    "mapped": [{"pid": 1, "modality": "visible", "at": [0.5, n]} for n in range(3)],
}
RUN = {"command": "train", "data": "a" * 64, "settings": {"seed": 1}, "devices": 1, "steps": 5}


def as_text(file, value):
    file.write_text(json.dumps(value))


def write_mat(file):
    cell = np.empty((2, 1), object)
    cell[:, 0] = np.arange(30, dtype=np.uint16).reshape(10, 3), np.empty((0, 0))
    scipy.io.savemat(file, {"id": cell}, do_compression=True)


def write_look(file):
    """That of the one evaluation of a run."""
    run = RunFolder(file.parent.parent)
    keep(record(), run, LOOK)
    as_text(run.description, RUN)
    next(run.looks.iterdir()).replace(file)
    next(run.results_folder.iterdir()).replace(run.results_folder / file.name)


def torch_save(file, **how):
    """An authors' checkpoint, in an old form or in today's."""
    torch = pytest.importorskip("torch")
    state = {name: torch.tensor(array) for name, array in TENSORS.items()}
    torch.save({"epoch": 1, "model": state, "ema": state}, file, **how)


# By file name: what writes one, and what reads it.
KINDS = {
    "architecture.json": (Architecture.separate_until("layer1").save, Architecture.load),
    "cells.json": (Architecture.shared(CellPlan(EVERYTHING)).save, Architecture.load),
    "genotype.json": (EVERYTHING.save, Genotype.load),
    "config.cfg": (lambda file: file.write_text("0 1 " * 26 + "1"), Architecture.load),
    "run.json": (lambda file: as_text(file, RUN), lambda file: RunFolder(file.parent).describe()),
    "results.json": (lambda file: as_text(file, record()), read_results),
    "run/looks/a.json": (write_look, lambda file: of_run.sections(RunFolder(file.parent.parent))),
    "study.json": (
        lambda file: shutil.copy("tests/earlier_version/study/study.json", file),
        read_charts,
    ),
    "step.safetensors": (lambda f: checkpoints.write(f, 3, TENSORS, {"a": 1}), checkpoints.read),
    "weights.safetensors": (lambda file: file.write_bytes(save(TENSORS)), read_torch_file),
    "weights.pt": (torch_save, read_torch_file),
    "weights.pth": (
        lambda file: torch_save(file, _use_new_zipfile_serialization=False),
        read_torch_file,
    ),
    "gallery.npz": (Gallery.of("net", ENTRIES, ROWS).save, Gallery.load),
    "train_id.txt": (lambda file: file.write_text("1,2,30,41\n"), read_identities),
    "id.mat": (write_mat, lambda file: read_mat(file, "id")),
    "a.png": (Image.new("RGB", (16, 32), "red").save, opened),
    "a.jpg": (Image.new("RGB", (16, 32), "red").save, opened),
    "a.bmp": (Image.new("RGB", (16, 32), "red").save, opened),
}
SLOW = {"id.mat": 20}  # of which so many times fewer


@pytest.mark.parametrize("name", KINDS)
def test_mutated_files(name, tmp_path):
    """Cut, doubled, zeroed, changed: no traceback, no crash, no other numbers where there is a
    checksum."""
    write, read = KINDS[name]
    file = tmp_path / name
    write(file)
    content, before = file.read_bytes(), read(file)
    for number in range(MUTATIONS // SLOW.get(name, 1)):
        damaged = mutated(content, np.random.default_rng([SEED, number]))
        file.write_bytes(damaged)
        try:
            after = read(file)
        except BadInput:
            continue
        except Exception as error:
            raise AssertionError(f"mutation {number} of seed {SEED}: {damaged!r}") from error
        if name == "gallery.npz":
            np.testing.assert_array_equal(after.embeddings, before.embeddings)
            assert after.ids.tolist() == before.ids.tolist()
        if name == "step.safetensors":
            assert (after.digest, after.step) == (before.digest, before.step)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    people = load_dataset("sysu_mm01", write_people(folder / "sysu"))
    write_shards(people, folder / "shards", 10**6)
    return folder / "shards"


@pytest.mark.parametrize("name", ["manifest.json", "index.csv"])
def test_mutated_shards(name, shards, tmp_path):
    """With checksums that fit, so that what is read is the damage and not the sum."""
    folder = shutil.copytree(shards, tmp_path / "shards")
    manifest, content = (folder / "manifest.json").read_text(), (folder / name).read_bytes()
    for number in range(MUTATIONS // 4):
        damaged = mutated(content, np.random.default_rng([SEED, number]))
        (folder / name).write_bytes(damaged)
        if name == "index.csv":
            listed = json.loads(manifest)
            for file in listed["files"]:
                if file["file"] == name:
                    file.update(bytes=len(damaged), sha256=sha256(folder / name))
            as_text(folder / "manifest.json", listed)
        try:
            load_dataset("sysu_mm01", folder)
        except BadInput:
            continue
        except Exception as error:
            raise AssertionError(f"mutation {number} of seed {SEED}: {damaged!r}") from error


DEEP = "[" * 5000 + "]" * 5000


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (DEEP, "nested deeper than 64"),
        ("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1), "nested deeper than 64"),
        ("9" * 5000, "4300 digits"),
        ("9" * 4000, "more than 64 bits"),
        ("NaN", "schema is nan"),
        ("-Infinity", "schema is -inf"),
        ("[1e999]", "schema is inf"),
    ],
    ids=["deep", "one too deep", "5000 digits", "4000 digits", "NaN", "Infinity", "1e999"],
)
@pytest.mark.parametrize("name", ["architecture.json", "run.json", "results.json", "genotype.json"])
def test_json_beyond_measure(name, value, message, tmp_path):
    content = {**RUN, "checkpoint": {}, "results": {}, "schema": "VALUE", "choices": "VALUE"}
    (tmp_path / name).write_text(json.dumps(content).replace('"VALUE"', value))
    with pytest.raises(BadInput, match=rf"{name} is not .*{message}"):
        KINDS[name][1](tmp_path / name)


ODD = (None, True, -1, 2**63, 1e300, 0.5, "", "x" * 300, "\0", [], {}, [[]], [{}], {"": None})


def places(value, way=()):
    """The way to every value within one."""
    yield way
    for key in range(len(value)) if isinstance(value, list) else value:
        if isinstance(value[key], list | dict):
            yield from places(value[key], (*way, key))
        else:
            yield (*way, key)


@pytest.mark.parametrize("name", [name for name in KINDS if name.endswith(".json")])
def test_any_value_in_the_place_of_any_other(name, tmp_path):
    """Also left out. Whatever is read can be used as it is after that."""
    write, read = KINDS[name]
    write(tmp_path / name)
    before = json.loads((tmp_path / name).read_text())
    for *way, last in filter(None, places(before)):
        for odd in (*ODD, ...):
            content = inner = copy.deepcopy(before)
            for key in way:
                inner = inner[key]
            if odd is ...:
                del inner[last]
            else:
                inner[last] = odd
            as_text(tmp_path / name, content)
            try:
                str(read(tmp_path / name))
            except BadInput:
                continue
            except Exception as error:
                raise AssertionError(f"{way}, {last}: {odd!r}") from error


def test_json_within_measure():
    deep = "[" * MOST_DEPTH + "1.5" + "]" * MOST_DEPTH
    assert parse_json(deep) == json.loads(deep)
    assert parse_json(f"[{2**64 - 1}, -1e300, null]") == [2**64 - 1, -1e300, None]


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        (float, "3", "true"),
        ([int], "[1, 2]", "[1, 2.5]"),
        ({"a": str, "b?": bool}, '{"a": "x", "c": 1}', '{"a": "x", "b": 0}'),
        ({str: {"a": int}}, '{"x": {"a": 1}, "y": {"a": 2}}', '{"x": {"a": 1}, "y": {}}'),
        (str | None, "null", "[]"),
        (dict, "{}", "[]"),
        ({"a": int}, '{"a": 1}', "{}"),
    ],
)
def test_forms(form, good, bad):
    assert parse_json(good, form) == json.loads(good)
    with pytest.raises(ValueError, match=r"must be|is missing"):
        parse_json(bad, form)


def npy(header, data=b""):
    """An array's file with a header of one's own."""
    text = repr(header).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def gallery_with(file, compression=zipfile.ZIP_STORED, **members):
    Gallery.of("net", ENTRIES, ROWS).save(file)
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in {**content, **{f"{n}.npy": m for n, m in members.items()}}.items():
            archive.writestr(name, data)


def array(values):
    stream = io.BytesIO()
    np.save(stream, np.asarray(values))
    return stream.getvalue()


HUGE = {"descr": "<f4", "fortran_order": False, "shape": (2**38, 4)}
EMPTY_TEXT = {"descr": "<U0", "fortran_order": False, "shape": (2**40,)}
GALLERIES = {
    "4 TB": {"embeddings": npy(HUGE)},
    "short ids": {"ids": array(["1", "2"])},
    "ids that are numbers": {"ids": array(np.arange(6))},
    "ids without letters": {"ids": npy(EMPTY_TEXT)},
    "NaN": {"embeddings": array(np.where(ROWS == 1, np.float32(np.nan), ROWS))},
    "infinite": {"embeddings": array(np.where(ROWS == 1, np.float32(np.inf), ROWS))},
    "long": {"embeddings": array(2 * ROWS)},
    "float64": {"embeddings": array(ROWS.astype(float))},
    "flat": {"embeddings": array(ROWS[:, 0])},
    "two networks": {"network": array(["a", "b"])},
    "an object": {"ids": npy({"descr": "|O", "fortran_order": False, "shape": (6,)}, b"x")},
}


@pytest.mark.parametrize("name", GALLERIES)
def test_galleries_made_up(name, tmp_path):
    gallery_with(tmp_path / "g.npz", **GALLERIES[name])
    with pytest.raises(BadInput, match=r"g\.npz is no gallery file: .*`build_gallery`"):
        Gallery.load(tmp_path / "g.npz")


def test_galleries_in_another_form(tmp_path):
    """Compressed, which may unfold to anything; an array that is called .npz; a folder's bit."""
    gallery_with(tmp_path / "compressed.npz", zipfile.ZIP_DEFLATED)
    (tmp_path / "array.npz").write_bytes(array(ROWS))
    gallery_with(tmp_path / "bits.npz")
    content = bytearray((tmp_path / "bits.npz").read_bytes())
    start = content.index(b"PK\x01\x02")
    for place in (start + 8, start + 10):  # flags, and how it is compressed
        (tmp_path / "bits.npz").write_bytes(content[:place] + b"\x63" + content[place + 1 :])
        for file in tmp_path.iterdir():
            with pytest.raises(BadInput, match=f"{file.name} is no gallery file"):
                Gallery.load(file)


@pytest.mark.parametrize("shape", [[0, 2**62, 2**62], [0, 2**62], [1] * 70])
@pytest.mark.parametrize("read", [checkpoints.read, read_torch_file])
def test_tensors_of_impossible_shapes(read, shape, tmp_path):
    size = 4 if 0 not in shape else 0
    header = {"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, size]}}
    text = json.dumps({**header, "__metadata__": {"sha256": "a"}}).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(size))
    with pytest.raises(BadInput, match=r"a\.safetensors is not a .* truncated"):
        read(tmp_path / "a.safetensors")


@pytest.mark.parametrize("bit", [1412, 1423])
def test_a_matlab_file_that_crashes_its_reader(bit, tmp_path):
    """One bit of the size of what follows; SciPy reads beyond its memory, which mostly crashes,
    by what lies there."""
    file = tmp_path / "id.mat"
    scipy.io.savemat(file, {"id": np.arange(4.0)})
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    with pytest.raises(BadInput, match=r"id\.mat is not a MATLAB file"):
        read_mat(file, "id")


def test_a_crash_of_the_reader_of_matlab_files_is_said(tmp_path, monkeypatch):
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr(mat_file, "_READER", crash)
    scipy.io.savemat(tmp_path / "id.mat", {"id": np.arange(4.0)})
    with pytest.raises(BadInput, match=r"id\.mat is not a MATLAB file .*its reader crashed"):
        read_mat(tmp_path / "id.mat", "id")


def special_files(folder):
    """A pipe and a link to a device, by the names of images."""
    folder.mkdir(parents=True, exist_ok=True)
    os.mkfifo(folder / "z.jpg")
    (folder / "y.png").symlink_to("/dev/zero")
    return folder / "z.jpg", folder / "y.png"


def test_pipes_and_devices_are_not_read(tmp_path):
    write_look(tmp_path / "run/looks/a.json")
    for special in special_files(tmp_path / "special"):
        for name, (_, read) in KINDS.items():
            file = tmp_path / name
            file.unlink(missing_ok=True)
            file.symlink_to(special)
            with pytest.raises(BadInput, match=r"device|No .*file|No checkpoint|not exist"):
                read(file)
            file.unlink()


def test_files_larger_than_is_read(tmp_path):
    file = tmp_path / "large.json"
    with file.open("wb") as opened:
        opened.truncate(MOST_BYTES + 1)
    for read in (read_bytes, Architecture.load, read_results):
        with pytest.raises(BadInput, match=r"large\.json has 67,108,865 bytes, and at most"):
            read(file)

"""Shards: the same data set as the folder they were written from, or a refusal that says why."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.data import load_dataset, read_dataset
from cmnas_tf.data.augmentation import Augmentation
from cmnas_tf.data.findings import sentences
from cmnas_tf.data.pipeline import ImageSource, naming_unreadable, training_batches
from cmnas_tf.data.sampling import IdentitySampler, Sampling
from cmnas_tf.data.shard_writer import write_shards
from cmnas_tf.data.store import FolderStore, ShardStore, open_store
from cmnas_tf.data.synthetic import write_dataset
from cmnas_tf.data.synthetic_plan import SyntheticPeople
from cmnas_tf.data.sysu_mm01 import SysuProtocol
from cmnas_tf.data.verify import unreadable
from cmnas_tf.errors import BadInput
from cmnas_tf.files import sha256, write_json

SMALL = {"train_identities": 4, "test_identities": 2, "image_height": 32, "image_width": 16}
KINDS = {"sysu_mm01": 1, "regdb": 2, "market1501": 1, "own_images": 1}  # with their trials


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A data set of each kind, four training identities each, and its shards beside it."""
    root = tmp_path_factory.mktemp("sets")
    for layout in ("sysu_mm01", "regdb", "market1501"):
        write_dataset(SyntheticPeople(layout, **SMALL), root / layout, processes=1)
    own_images(root / "regdb", root / "own_images")
    for layout, trial in KINDS.items():
        dataset = load_dataset(layout, root / layout, trial)
        write_shards(dataset, root / f"{layout}_shards", 20_000)
    return root


def own_images(images, folder):
    """A table of images that lie elsewhere, one of them with a comma and a quote in its name."""
    folder.mkdir()
    first, *others = sorted((images / "Visible").glob("*/*.bmp"))
    shutil.copy(first, folder / 'a, "b".bmp')
    lines = ["path,pid,camera,modality,split", '"a, ""b"".bmp",1,1,rgb,query']
    splits = ("train", "query", "gallery")
    lines += [f"{path},{n % 3},{n},rgb,{splits[n % 3]}" for n, path in enumerate(others)]
    (folder / "images.csv").write_text("\n".join(lines))


@pytest.fixture(params=KINDS)
def both(request, folders):
    """A data set read from its folder and from its shards."""
    layout, trial = request.param, KINDS[request.param]
    paths = folders / layout, folders / f"{layout}_shards"
    return tuple(load_dataset(layout, path, trial) for path in paths)


@pytest.fixture
def shards(folders, tmp_path):
    """Shards of SYSU-MM01, to be spoiled."""
    return shutil.copytree(folders / "sysu_mm01_shards", tmp_path / "shards")


def test_the_data_set_is_the_same(both):
    folder, shards = both
    assert list(shards.train) == list(folder.train)
    assert list(shards.test) == list(folder.test)
    assert list(shards.notes) == sentences(folder.notes)
    assert shards.counts() == folder.counts()
    assert shards.fingerprint == folder.fingerprint
    assert (shards.layout, shards.trial) == (folder.layout, folder.trial)
    assert shards.root.name == f"{folder.layout}_shards"


def test_the_bytes_of_every_image_are_the_same(both):
    folder, shards = (open_store(dataset.root) for dataset in both)
    assert (type(folder), type(shards)) == (FolderStore, ShardStore)
    for path in (both[0].train + both[0].test).paths:
        assert shards.read(path) == folder.read(path)
        assert path in shards
    assert "cam1/0001/9999.jpg" not in shards


@pytest.mark.parametrize("cache", ["none", "encoded", "decoded"])
def test_batches_are_the_same_bit_for_bit(folders, cache):
    def batches(root, kept):
        dataset = load_dataset("sysu_mm01", root)
        source = ImageSource(dataset.train, root, 24, 12, kept)
        sampler = IdentitySampler(
            dataset.train, np.unique(dataset.train.pids), Sampling(4, 2), 5, 0
        )
        return training_batches(source, sampler, Augmentation(pad=2), 0, 3)

    folder = batches(folders / "sysu_mm01", "none")
    shards = batches(folders / "sysu_mm01_shards", cache)
    for one, other in zip(folder, shards, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        for modality, images in one.images.items():
            assert images.numpy().tobytes() == other.images[modality].numpy().tobytes()


def test_bytes_that_end_in_zeros_are_whole_in_a_graph(tmp_path):
    """NumPy's strings would cut them off."""
    folder, path = tmp_path / "folder", "train/visible/cam1/1/a.bmp"
    for split in ("train", "query", "gallery"):
        file = folder / path.replace("train", split)
        file.parent.mkdir(parents=True)
        file.write_bytes(split.encode() + bytes(9))
    write_shards(read_dataset("own_folders", folder), tmp_path / "shards", 10**6)
    read = open_store(tmp_path / "shards").reader(["", path])
    (found,) = tf.data.Dataset.range(1, 2).map(read)
    assert found.shape == []
    assert found.numpy() == b"train" + bytes(9)


def test_the_official_gallery_goes_with_the_images(folders):
    """Its permutations lie in a file of their own."""
    official = SysuProtocol(gallery_sampling="official")
    found = [
        [trial.gallery.paths.tolist() for trial in official.trials_of(dataset)]
        for dataset in (
            load_dataset("sysu_mm01", folders / name) for name in ("sysu_mm01", "sysu_mm01_shards")
        )
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("layout", "trial", "message"),
    [
        ("market1501", 1, "holds shards of regdb, trial 2, not of market1501, trial 1"),
        ("regdb", 1, "holds shards of regdb, trial 2, not of regdb, trial 1"),
    ],
)
def test_another_data_set_or_trial_is_refused_by_name(folders, layout, trial, message):
    with pytest.raises(BadInput, match=f"{message}.*dataset=regdb trial=2"):
        load_dataset(layout, folders / "regdb_shards", trial)


def change(name, spoil):
    """Changes the bytes of a file of the shards."""

    def changed(root):
        data = bytearray((root / name).read_bytes())
        (root / name).write_bytes(spoil(data))

    return changed


def flip(data):
    data[len(data) // 2] ^= 1
    return data


def edit(**values):
    def edited(root):
        file = root / "manifest.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    return edited


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change("00001.tfrecord", flip), r"not whole: 00001\.tfrecord is damaged"),
        (change("00001.tfrecord", lambda data: data[:-1]), r"00001\.tfrecord has \d+ bytes, not"),
        (lambda root: (root / "00002.tfrecord").unlink(), r"00002\.tfrecord is missing"),
        (change("index.csv", flip), r"index\.csv is damaged"),
        (change("exp/rand_perm_cam.mat", flip), r"rand_perm_cam\.mat is damaged"),
        (change("manifest.json", lambda data: data[:-9]), r"manifest\.json is not a manifest"),
        (change("manifest.json", lambda data: b"[]"), r"manifest\.json is not a manifest"),
        (edit(shards=None), r"manifest\.json is not a manifest of shards"),
        (edit(fingerprint="0"), r"index\.csv lists another data set than .*manifest\.json"),
        (edit(schema_version=2), r"manifest\.json is of schema version 2; this program reads 1"),
    ],
)
def test_shards_that_are_not_as_written_are_named(shards, spoil, message):
    """And what to do."""
    spoil(shards)
    with pytest.raises(BadInput, match=f"(?s){message}.*`write_shards`"):
        load_dataset("sysu_mm01", shards)


@pytest.mark.parametrize("listed", ["shards", "files"])
@pytest.mark.parametrize("name", ["../beside", "/etc/hostname", "a/../../beside"])
def test_what_lies_outside_the_folder_is_not_read(shards, name, listed):
    """Though its size and checksum may be right."""
    outside = shards / name
    if ".." in name:
        (shards / "a").mkdir()
        outside.write_bytes(b"secret")
    manifest = json.loads((shards / "manifest.json").read_text())
    entry = {"file": name, "bytes": outside.stat().st_size, "sha256": sha256(outside)}
    manifest[listed].append({"images": 0, **entry})
    write_json(shards / "manifest.json", manifest)
    with pytest.raises(BadInput, match=r"lists .*, which is not in its folder"):
        load_dataset("sysu_mm01", shards)
    with pytest.raises(BadInput, match="is not in its folder"):
        open_store(shards)


def test_everything_that_is_damaged_is_named_at_once(shards):
    (shards / "00000.tfrecord").unlink()
    change("00003.tfrecord", flip)(shards)
    with pytest.raises(BadInput, match=r"00000\.tfrecord is missing; 00003\.tfrecord is damaged"):
        load_dataset("sysu_mm01", shards)


def test_an_image_that_gets_lost_while_in_use_is_named(shards):
    """By its path and its shard; the last image of a shard that is cut off meanwhile."""
    dataset = load_dataset("sysu_mm01", shards)
    assert unreadable(dataset.train, shards) == {}
    *_, last = (line for line in (shards / "index.csv").open() if ",00001.tfrecord," in line)
    path = last.split(",")[1]
    change("00001.tfrecord", lambda data: data[:-300])(shards)
    assert list(unreadable(dataset.train, shards)) == [path]
    source = ImageSource(dataset.train, shards, 24, 12)
    with (
        pytest.raises(BadInput, match=rf"{path} in .*00001\.tfrecord: not a complete JPEG"),
        naming_unreadable(source),
    ):
        for row in tf.data.Dataset.range(len(source.images)).map(source.reader()):
            assert row.shape == [24, 12, 3]


def test_names_of_people_are_kept(tmp_path):
    write_dataset(SyntheticPeople("market1501", **SMALL), tmp_path / "images", processes=1)
    files = sorted((tmp_path / "images").glob("*/*.jpg"))
    lines = [
        f"{file},{'anna' if 'train' in file.parent.name else 'zoë'},{n},rgb,{split}\n"
        for n, file in enumerate(files)
        for split in ["train" if "train" in file.parent.name else ("query", "gallery")[n % 2]]
    ]
    (tmp_path / "images.csv").write_text("path,pid,camera,modality,split\n" + "".join(lines))
    dataset = load_dataset("own_images", tmp_path)
    write_shards(dataset, tmp_path / "shards", 10**6)
    shards = load_dataset("own_images", tmp_path / "shards")
    assert shards.names == dataset.names == ("anna", "zoë")
    assert shards.fingerprint == dataset.fingerprint

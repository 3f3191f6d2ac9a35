"""Whatever people bring: all readers take it, and see what Pillow sees, or none does."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image as Picture

from cmnas_tf.architecture import Architecture
from cmnas_tf.data.decode import ANIMATED, BITS, CMYK, OTHER, PALETTE, TURNED, decode
from cmnas_tf.data.index import Dataset, Image, Images
from cmnas_tf.data.pipeline import ImageSource, naming_unreadable
from cmnas_tf.data.shard_writer import write_shards
from cmnas_tf.data.verify import read_contents
from cmnas_tf.errors import BadInput
from cmnas_tf.models.specification import Specification
from cmnas_tf.serving.build_gallery import build_gallery
from cmnas_tf.serving.export import export_saved_model
from cmnas_tf.serving.reading_images import read_files
from cmnas_tf.training.trained import load_network
from tests.odd_images import HEIGHT, WIDTH, odd_images
from tests.serving.networks import write_run

FILES = odd_images()
DAMAGED = "not a complete JPEG, PNG or BMP image"
WHY = {
    CMYK: ("cmyk.jpg", "ycck.jpg"),
    TURNED: [name for name in FILES if name.startswith("turned")],
    BITS: [name for name in FILES if "16_bits" in name and name.endswith("png")],
    ANIMATED: ("frames.png", "frames_of_palette.png"),
    PALETTE: (
        *("palette_1_bit.bmp", "palette_4_bits.bmp", "palette_8_bits.bmp", "rgb_16_bits.bmp"),
        *("masked_otherwise.bmp", "runs.bmp", "runs_as_long_as_pixels.bmp", "of_os2.bmp"),
    ),
    OTHER: [name for name in FILES if name.startswith(("gif", "frames_of_gif", "webp"))],
    DAMAGED: (
        *("half.jpg", "no_end.jpg", "header_alone.jpg", "half.png", "header_alone.png"),
        *("damaged.png", "header_second.png", "half.bmp", "header_alone.bmp", "header_cut.bmp"),
        *("more_behind.bmp", "tiff_named.jpg", "tiff_compressed_named.png", "jpeg_2000_named.jpg"),
        *("netpbm_named.bmp", "icon_named.png", "nothing.jpg", "zeros.png", "text.jpg"),
    ),
}
# A depth that stands where no header is says nothing.
WHY[BITS].remove("header_second_16_bits.png")
REFUSED = {name: why for why, names in WHY.items() for name in names}
REFUSED["header_second_16_bits.png"] = DAMAGED
READ = [name for name in FILES if name not in REFUSED]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("odd")
    for name, content in FILES.items():
        (root / name).write_bytes(content)
    return root


@pytest.fixture(scope="module")
def shards(folder, tmp_path_factory):
    """All files, the bad ones too."""
    root = tmp_path_factory.mktemp("shards") / "odd"
    write_shards(Dataset("own_images", folder, TABLE, TABLE[:1]), root, 10_000)
    return root


TABLE = Images.of(Image(name, 0, 1, "visible") for name in FILES)


def by_pillow(name):
    return np.asarray(Picture.open(io.BytesIO(FILES[name])).convert("RGB")).astype(int)


def outcome(read):
    """What is read, or None where it is refused."""
    try:
        return np.asarray(read())
    except tf.errors.InvalidArgumentError:
        return None


def test_there_are_many_and_they_are_always_the_same():
    assert len(FILES) > 60 < len(set(FILES.values())) + 5
    assert odd_images() == FILES
    assert set(REFUSED) <= set(FILES)


@pytest.mark.parametrize("name", READ)
def test_what_is_read_is_what_pillow_sees(name):
    """JPEG within one level: another version of its library may round otherwise."""
    off = abs(decode(FILES[name], HEIGHT, WIDTH).numpy().astype(int) - by_pillow(name))
    assert off.max() <= (1 if FILES[name][:2] == b"\xff\xd8" else 0)


def test_preparation_names_what_is_refused(folder):
    found = {name: content.fault for name, content in read_contents(folder, FILES).items()}
    assert {name for name, fault in found.items() if fault} == set(REFUSED)
    for name, why in REFUSED.items():
        assert found[name].startswith(why), name


@pytest.mark.parametrize("kept", ["folder", "shards"])
@pytest.mark.parametrize("cache", ["none", "encoded"])
def test_training_and_evaluation_read_alike(kept, cache, request):
    """Of files and of shards, from memory or not."""
    root = request.getfixturevalue(kept)
    source = ImageSource(TABLE, root, HEIGHT, WIDTH, cache)
    read = tf.function(source.reader(), autograph=False)
    for row, name in enumerate(FILES):
        found = outcome(lambda row=row: read(tf.constant(row, tf.int64)))
        assert (found is None) == (name in REFUSED), name
        if found is not None:
            np.testing.assert_array_equal(found, decode(FILES[name], HEIGHT, WIDTH), name)


@pytest.mark.parametrize("name", ["cmyk.jpg", "frames.png"])
def test_training_names_what_it_refuses(name, folder):
    table = TABLE[TABLE.paths == name]
    with pytest.raises(BadInput, match=name) as raised, naming_unreadable(table, folder):
        decode(FILES[name], HEIGHT, WIDTH)
    assert REFUSED[name] in str(raised.value)


def test_serving_reads_alike():
    """Alone, and in one request together."""
    spec = [tf.TensorSpec([None], tf.string)]
    read = tf.function(
        lambda files: read_files(files, HEIGHT, WIDTH), input_signature=spec, autograph=False
    )
    for name, file in FILES.items():
        found = outcome(lambda file=file: read(tf.constant([file]))[0])
        assert (found is None) == (name in REFUSED), name
    found = read(tf.constant([FILES[name] for name in READ]))
    for name, pixels in zip(READ, found, strict=True):
        np.testing.assert_array_equal(pixels, decode(FILES[name], HEIGHT, WIDTH), name)


@pytest.mark.slow
def test_an_exported_model_and_a_gallery_read_alike(folder, tmp_path):
    """The same embeddings of the same files, and no other file."""
    architecture = Architecture.separate_until("layer1", "resnet18")
    specification = Specification(architecture, 5, 32, 16, width_factor=0.125)
    model = load_network(write_run(tmp_path, specification))
    version = export_saved_model(model, tmp_path / "models", progress=False)
    exported = tf.saved_model.load(str(version)).signatures["embed_visible"]
    embedded = model.embed_files([folder / name for name in READ], "visible")
    answered = exported(image_bytes=tf.constant([FILES[name] for name in READ]))["embedding"]
    np.testing.assert_allclose(answered, embedded, atol=1e-5)

    people = tmp_path / "people" / "visible" / "cam1" / "someone"
    people.mkdir(parents=True)
    for name in READ:
        (people / name).write_bytes(FILES[name])
    gallery = build_gallery(model, tmp_path / "all.npz", people.parents[2], progress=False).gallery
    expected = {
        f"visible/cam1/someone/{name}": row for name, row in zip(READ, embedded, strict=True)
    }
    for name, row in zip(gallery.names, gallery.embeddings, strict=True):
        np.testing.assert_allclose(row, expected.pop(name), atol=1e-5)
    assert not expected

    for name in REFUSED:
        assert outcome(lambda name=name: exported(image_bytes=tf.constant([FILES[name]]))) is None
    for name in ("turned_6.jpg", "frames.png", "runs.bmp"):
        with pytest.raises(BadInput, match=name):
            model.embed_files([folder / name], "visible")
        (people / "b.png").write_bytes(FILES[name])
        with pytest.raises(BadInput, match=r"b\.png cannot be embedded"):
            build_gallery(model, tmp_path / "bad.npz", people.parents[2], progress=False)

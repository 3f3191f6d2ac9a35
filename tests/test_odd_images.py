"""Whatever people bring: all readers take it, and see what Pillow sees, or none does."""

import io
import json

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
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
DEEP = [name for name in FILES if "16_bits" in name and name.endswith("png")]
DEEP.remove("header_second_16_bits.png")  # a depth that stands where no header is says nothing
WHY = {
    CMYK: ("cmyk.jpg", "ycck.jpg"),
    TURNED: [name for name in FILES if name.startswith("turned")],
    BITS: DEEP,
    ANIMATED: ("frames.png", "frames_of_palette.png"),
    PALETTE: (
        *("palette_1_bit.bmp", "palette_4_bits.bmp", "palette_8_bits.bmp", "rgb_16_bits.bmp"),
        *("masked_otherwise.bmp", "runs.bmp", "runs_as_long_as_pixels.bmp", "of_os2.bmp"),
    ),
    OTHER: [name for name in FILES if name.startswith(("gif", "frames_of_gif", "webp"))],
    DAMAGED: (
        *("half.jpg", "no_end.jpg", "header_alone.jpg", "half.png", "header_alone.png"),
        *("damaged.png", "header_second.png", "header_second_16_bits.png"),
        *("half.bmp", "header_alone.bmp", "header_cut.bmp", "more_behind.bmp", "tiff_named.jpg"),
        *("tiff_compressed_named.png", "jpeg_2000_named.jpg", "netpbm_named.bmp"),
        *("icon_named.png", "nothing.jpg", "zeros.png", "text.jpg"),
    ),
}
RANGE = (29_150, 29_803)
WHY_BY_RANGE = {
    **WHY,
    BITS: ("grey_alpha_16_bits.png", "rgb_16_bits.png"),
    ANIMATED: (*WHY[ANIMATED], "frames_16_bits.png"),
    DAMAGED: (*WHY[DAMAGED], "half_16_bits.png"),
}
REFUSED = {
    grey16: {name: reason for reason, names in why.items() for name in names}
    for grey16, why in (((), WHY), (RANGE, WHY_BY_RANGE))
}
READ = {grey16: [n for n in FILES if n not in refused] for grey16, refused in REFUSED.items()}
with_and_without_range = pytest.mark.parametrize("grey16", READ)


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


def by_pillow(name, grey16=()):
    """[HEIGHT, WIDTH, 3] int, greyscale of 16 bits by the rule of the range, worked out anew."""
    if name in DEEP:
        low, high = grey16
        grey = np.asarray(Picture.open(io.BytesIO(FILES[name]))).astype(float)
        scaled = np.floor(255 * (np.clip(grey, low, high) - low) / (high - low) + 0.5)
        return np.repeat(scaled[..., None], 3, axis=-1).astype(int)
    return np.asarray(Picture.open(io.BytesIO(FILES[name])).convert("RGB")).astype(int)


def by_opencv(name):
    return cv2.imdecode(np.frombuffer(FILES[name], np.uint8), cv2.IMREAD_UNCHANGED)


def outcome(read):
    """What is read, or None where it is refused."""
    try:
        return np.asarray(read())
    except tf.errors.InvalidArgumentError:
        return None


def test_there_are_many_and_they_are_always_the_same():
    assert len(FILES) > 60 < len(set(FILES.values())) + 5
    assert odd_images() == FILES
    assert len(DEEP) == 9 and set(READ[RANGE]) - set(READ[()]) == {
        name for name in DEEP if name.startswith("grey_16_bits")
    }


@pytest.mark.parametrize(("grey16", "name"), [(r, name) for r in READ for name in READ[r]])
def test_what_is_read_is_what_pillow_sees(grey16, name):
    """JPEG within one level: another version of its library may round otherwise."""
    found = decode(FILES[name], HEIGHT, WIDTH, grey16).numpy().astype(int)
    off = abs(found - by_pillow(name, grey16))
    assert off.max() <= (1 if FILES[name][:2] == b"\xff\xd8" else 0)


def test_greyscale_of_16_bits_is_scaled_and_clipped():
    """OpenCV sees the same values; the range reaches neither end of them."""
    values = by_opencv("grey_16_bits.png")
    assert values.dtype == np.uint16
    assert values.min() < RANGE[0] < RANGE[1] < values.max()
    found = decode(FILES["grey_16_bits.png"], HEIGHT, WIDTH, RANGE).numpy()
    assert (found.min(), found.max()) == (0, 255) and len(np.unique(found)) > 100
    np.testing.assert_array_equal(by_opencv("grey_16_bits_interlaced.png"), values)
    whole = decode(FILES["grey_16_bits_whole_range.png"], HEIGHT, WIDTH, (0, 65535)).numpy()
    np.testing.assert_array_equal(
        whole[..., 0].ravel(), np.floor(np.arange(HEIGHT * WIDTH) * 151 / 257 + 0.5)
    )


@given(st.integers(0, 65534), st.data())
@settings(max_examples=20, deadline=None)
def test_the_rule_is_exact_for_every_value_and_range(low, data):
    """Halves up; no value in 2^16 is off."""
    high = data.draw(st.integers(low + 1, 65535))
    values = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    file = cv2.imencode(".png", values)[1].tobytes()
    above = np.clip(values.astype(np.int64), low, high) - low
    expected = (255 * 2 * above + (high - low)) // (2 * (high - low))
    found = decode(file, 256, 256, (low, high)).numpy()
    np.testing.assert_array_equal(found, np.repeat(expected[..., None], 3, axis=-1))


@with_and_without_range
def test_preparation_names_what_is_refused(grey16, folder):
    contents = read_contents(folder, FILES, grey16=grey16)
    found = {name: content.fault for name, content in contents.items()}
    assert {name for name, fault in found.items() if fault} == set(REFUSED[grey16])
    for name, why in REFUSED[grey16].items():
        assert found[name].startswith(why), name
    assert {name for name, content in contents.items() if content.grey16} == {
        name for name in DEEP if not name.startswith(("grey_alpha", "rgb"))
    }


@pytest.mark.parametrize("kept", ["folder", "shards"])
@pytest.mark.parametrize("cache", ["none", "encoded"])
@with_and_without_range
def test_training_and_evaluation_read_alike(grey16, kept, cache, request):
    """Of files and of shards, from memory or not."""
    root = request.getfixturevalue(kept)
    source = ImageSource(TABLE, root, HEIGHT, WIDTH, cache, grey16)
    read = tf.function(source.reader(), autograph=False)
    for row, name in enumerate(FILES):
        found = outcome(lambda row=row: read(tf.constant(row, tf.int64)))
        assert (found is None) == (name in REFUSED[grey16]), name
        if found is not None:
            expected = decode(FILES[name], HEIGHT, WIDTH, grey16)
            np.testing.assert_array_equal(found, expected, name)


@pytest.mark.parametrize("name", ["cmyk.jpg", "frames.png", "grey_16_bits.png"])
def test_training_names_what_it_refuses(name, folder):
    source = ImageSource(TABLE[TABLE.paths == name], folder, HEIGHT, WIDTH)
    with pytest.raises(BadInput, match=name) as raised, naming_unreadable(source):
        decode(FILES[name], HEIGHT, WIDTH)
    assert REFUSED[()][name] in str(raised.value)


@with_and_without_range
def test_serving_reads_alike(grey16):
    """Alone, and in one request together."""
    spec = [tf.TensorSpec([None], tf.string)]
    read = tf.function(
        lambda files: read_files(files, HEIGHT, WIDTH, grey16=grey16),
        input_signature=spec,
        autograph=False,
    )
    for name, file in FILES.items():
        found = outcome(lambda file=file: read(tf.constant([file]))[0])
        assert (found is None) == (name in REFUSED[grey16]), name
    found = read(tf.constant([FILES[name] for name in READ[grey16]]))
    for name, pixels in zip(READ[grey16], found, strict=True):
        np.testing.assert_array_equal(pixels, decode(FILES[name], HEIGHT, WIDTH, grey16), name)


@pytest.mark.slow
@with_and_without_range
def test_an_exported_model_and_a_gallery_read_alike(grey16, one_block, folder, tmp_path):
    """The same embeddings of the same files, and no other file."""
    architecture = Architecture.separate_until("layer1", "resnet18")
    specification = Specification(architecture, 5, 32, 16, width_factor=0.125, grey16=grey16)
    model = load_network(write_run(tmp_path, specification))
    version = export_saved_model(model, tmp_path / "models", progress=False)
    exported = tf.saved_model.load(str(version)).signatures["embed_visible"]
    card = json.loads((version / "assets.extra" / "model_card.json").read_text())
    assert card["network"].get("grey16", []) == list(grey16)
    read = READ[grey16]
    embedded = model.embed_files([folder / name for name in read], "visible")
    pixels = np.stack([by_pillow(name, grey16) for name in read]).astype(np.uint8)
    of_pixels = model.embed_images(pixels, "visible")
    deep = [name in DEEP for name in read]
    np.testing.assert_allclose(embedded[deep], of_pixels[deep], atol=1e-5)
    answered = exported(image_bytes=tf.constant([FILES[name] for name in read]))["embedding"]
    np.testing.assert_allclose(answered, embedded, atol=1e-5)

    people = tmp_path / "people" / "visible" / "cam1" / "someone"
    people.mkdir(parents=True)
    for name in read:
        (people / name).write_bytes(FILES[name])
    gallery = build_gallery(model, tmp_path / "all.npz", people.parents[2], progress=False).gallery
    expected = {
        f"visible/cam1/someone/{name}": row for name, row in zip(read, embedded, strict=True)
    }
    for name, row in zip(gallery.names, gallery.embeddings, strict=True):
        np.testing.assert_allclose(row, expected.pop(name), atol=1e-5)
    assert not expected

    for name in REFUSED[grey16]:
        assert outcome(lambda name=name: exported(image_bytes=tf.constant([FILES[name]]))) is None
    for name in ("turned_6.jpg", "frames.png", "runs.bmp", "rgb_16_bits.png"):
        with pytest.raises(BadInput, match=name):
            model.embed_files([folder / name], "visible")
        (people / "b.png").write_bytes(FILES[name])
        with pytest.raises(BadInput, match=r"b\.png cannot be embedded"):
            build_gallery(model, tmp_path / "bad.npz", people.parents[2], progress=False)

"""What files hold: their bytes, whether they can be decoded, and which of them are the same."""

import hashlib
import io

import numpy as np
import pytest
from PIL import ExifTags
from PIL import Image as Picture

from cmnas_tf.data.decode import BITS, CMYK, OTHER, PALETTE, TURNED
from cmnas_tf.data.findings import Finding
from cmnas_tf.data.index import Dataset, Image, Images
from cmnas_tf.data.verify import Content, duplicates, read_contents, unreadable


def picture(seed, form="PNG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 5, 3), np.uint8)
    file = io.BytesIO()
    Picture.fromarray(pixels).save(file, form)
    return file.getvalue()


def with_palette():
    file = io.BytesIO()
    Picture.open(io.BytesIO(picture(0))).quantize(16).save(file, "BMP")
    return file.getvalue()


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def held(orientation):
    """As a camera writes that was held so."""
    exif = Picture.Exif()
    exif[ExifTags.Base.Make] = "a maker of cameras"
    exif[ExifTags.Base.Orientation] = orientation
    return saved(Picture.new("RGB", (5, 9)), "JPEG", exif=exif)


def centikelvin():
    """What thermal cameras write: few of the upper bits differ."""
    grey = np.arange(45, dtype=np.uint16).reshape(9, 5)
    return saved(Picture.fromarray(grey * 4 + 29_000), "PNG")


FILES = {
    "good.png": (lambda: picture(1), ""),
    "good.bmp": (lambda: picture(2, "BMP"), ""),
    "half.jpg": (lambda: picture(3, "JPEG")[:300], "not a complete JPEG, PNG or BMP image ("),
    "empty.jpg": (lambda: b"", "not a complete JPEG, PNG or BMP image (Input is empty.)"),
    "short.bmp": (lambda: b"BM", "not a complete JPEG, PNG or BMP image ("),
    "text.png": (lambda: b"<!doctype html>", "not a complete JPEG, PNG or BMP image (Unknown"),
    "palette.bmp": (with_palette, PALETTE),
    "thermal.png": (centikelvin, BITS),
    "gif.jpg": (lambda: picture(4, "GIF"), OTHER),
    "print.jpg": (lambda: saved(Picture.new("CMYK", (5, 9)), "JPEG"), CMYK),
    "turned.jpg": (lambda: held(6), TURNED),
    "upright.jpg": (lambda: held(1), ""),
    "grey.jpg": (lambda: saved(Picture.new("L", (5, 9)), "JPEG"), ""),
    "missing.jpg": (None, "the file does not exist"),
    "folder.jpg": ("folder", "the file cannot be read (Is a directory)"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("files")
    for name, (content, _) in FILES.items():
        if content == "folder":
            (root / name).mkdir()
        elif content:
            (root / name).write_bytes(content())
    return root


def test_every_file_is_hashed_and_every_fault_is_named(folder):
    done = []
    contents = read_contents(folder, FILES, done.append)
    assert sum(done) == len(FILES)
    assert list(contents) == list(FILES)
    for name, (content, fault) in FILES.items():
        assert contents[name].fault.startswith(fault), name
        assert bool(contents[name].fault) == bool(fault), name
        readable = callable(content)
        digest = hashlib.sha256(content()).hexdigest() if readable else ""
        assert contents[name].digest == digest, name


def test_unreadable_gives_the_faults_alone(folder):
    images = Images.of(Image(name, 1, 1, "visible") for name in FILES)
    found = unreadable(images, folder)
    assert list(found) == [name for name, (_, fault) in FILES.items() if fault]


def test_duplicates_are_pairs_across_the_parts():
    """b of the test part is a of the training part; two training images are alike, and so are two
    test images, which is nobody's business; files that cannot be read are equal to none."""
    train = Images.of(Image(path, 1, 1, "visible") for path in ("a", "a2", "c", "gone"))
    test = Images.of(Image(path, 2, 1, "visible") for path in ("b", "d", "d2", "lost", "b2"))
    digests = dict(a="1", a2="1", c="2", gone="", b="1", d="3", d2="3", lost="", b2="1")
    contents = {path: Content(digest, "") for path, digest in digests.items()}
    dataset = Dataset("sysu_mm01", "root", train, test)
    assert list(duplicates(dataset, contents)) == [
        Finding(f"a (to train on) and {path} (to test with)", "the same file")
        for path in ("b", "b2")
    ]

"""The walk through folders: what is taken, what is left out, and that both are all there is.

Trees of empty files.
"""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmnas_tf.data import read_dataset
from cmnas_tf.data.findings import sentences
from cmnas_tf.data.walk import SUFFIXES, Walk
from cmnas_tf.errors import BadInput


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def test_known_suffixes_are_taken_in_any_case(tmp_path):
    names = [f"{n}{case(suffix)}" for n, suffix in enumerate(SUFFIXES) for case in (str, str.upper)]
    walk = Walk(touch(tmp_path, *names))
    assert sorted(walk.images()) == sorted(names)
    assert walk.left_out == []


def test_pipes_and_devices_are_left_out(tmp_path):
    """To read the one is to wait for ever, the other never ends. A broken link is an image that
    is missed when it is read."""
    touch(tmp_path, "a/1.jpg")
    os.mkfifo(tmp_path / "a" / "z.jpg")
    (tmp_path / "a" / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "a" / "gone.png").symlink_to("nowhere")
    walk = Walk(tmp_path)
    assert walk.images() == ["a/1.jpg", "a/gone.png"]
    assert walk.left_out == [
        (name, "left out; a pipe or a device") for name in ("a/z.jpg", "a/zero.png")
    ]


def test_what_is_left_out_is_named_by_its_kind(tmp_path):
    """Hidden files and what systems leave in folders are nothing."""
    images = [f"a/{n}.jpg" for n in range(9)]
    others = ["a/1.tif", "a/2.TIF", "a/3.webp", "a/notes.txt", "b/4.gif", "b/4.jpg", "c"]
    junk = ["a/Thumbs.db", "a/.DS_Store", "a/._0.jpg", ".trash/x.jpg", "__MACOSX/x.jpg"]
    walk = Walk(touch(tmp_path, *images, *others, *junk))
    assert walk.images() == [*images, "b/4.jpg"]
    assert sentences(walk.left_out) == [
        "a/1.tif and 1 more: left out; .tif is not read, save it as PNG",
        "a/3.webp: left out; .webp is not read, save it as PNG",
        "a/notes.txt: left out; .txt is not read",
        "b/4.gif: left out; .gif is not read, save it as PNG",
        "c: left out; a name without suffix is not read",
    ]


def test_the_order_is_that_of_pathlib(tmp_path):
    """Folder by folder: as text, "a-b/1.jpg" would come before "a/1.jpg"."""
    touch(tmp_path, "a-b/1.jpg", "a/1.jpg", "a/b/1.jpg", "a.jpg", "A/1.jpg")
    found = Walk(tmp_path).images()
    assert [tmp_path / path for path in found] == sorted(tmp_path.rglob("*.jpg"))


@pytest.mark.parametrize(
    ("others", "count"),
    [(["p/3/1.tif", "p/3/2.tif"], "2 of 3"), (["p/3/x", "p/3/y", "p/3/z"], "3 of 4")],
)
def test_a_folder_of_which_most_is_left_out_is_refused(tmp_path, others, count):
    """Whatever lies in the folders beside it."""
    touch(tmp_path, "p/3/0.jpg", *(f"p/{n}/{n}.jpg" for n in range(9)), *others)
    (tmp_path / "p/3/3.jpg").unlink()
    with pytest.raises(
        BadInput, match=rf"p/3: {count} files are not read, .* {others[0]}\. Images"
    ):
        Walk(tmp_path).images("p")


def test_a_folder_of_which_half_is_left_out_is_taken(tmp_path):
    assert Walk(touch(tmp_path, "1.jpg", "1.tif")).images() == ["1.jpg"]


def test_what_is_known_to_be_no_image_does_not_count(tmp_path):
    """Such as two files that describe each image."""
    assert Walk(touch(tmp_path, "1.jpg", "1.txt", "1.json")).images() == ["1.jpg"]


def test_names_that_are_not_utf8_are_refused(tmp_path):
    try:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))).touch()
    except OSError:
        pytest.skip("this file system has no such names")
    message = r"1 paths of images are not UTF-8, the first of them caf\\xe9\.jpg\. Rename"
    with pytest.raises(BadInput, match=message):
        Walk(tmp_path).images()


def test_links_are_followed_but_not_in_circles(tmp_path):
    """To files, to folders beside and elsewhere, above, to each other and to themselves."""
    elsewhere = touch(tmp_path / "elsewhere", "1.jpg", "inner/2.jpg")
    root = touch(tmp_path / "root", "a/1.jpg", "b/1.jpg")
    links = {
        "a/far": elsewhere,
        "a/file.JPG": elsewhere / "1.jpg",
        "a/to_b": root / "b",
        "a/up": root,
        "b/higher": tmp_path,
        "b/to_a": root / "a",
        "c": root / "c",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    walk = Walk(root)
    assert walk.images() == [
        "a/1.jpg",
        "a/far/1.jpg",
        "a/far/inner/2.jpg",
        "a/file.JPG",
        "a/to_b/1.jpg",
        "b/1.jpg",
        "b/to_a/1.jpg",
        "b/to_a/far/1.jpg",
        "b/to_a/far/inner/2.jpg",
        "b/to_a/file.JPG",
    ]
    left_out = ["a/to_b/higher", "a/to_b/to_a", "a/up", "b/higher", "b/to_a/to_b", "b/to_a/up", "c"]
    assert sorted(finding.where for finding in walk.left_out) == left_out


# Of each data set: files that it uses; lists; folders where others lie; how these begin.
PEOPLE = range(1, 5)
LAYOUTS = {
    "sysu_mm01": (
        [f"cam{camera}/{pid:04d}/1.jpg" for camera in range(1, 7) for pid in PEOPLE],
        {"exp/train_id.txt": "1", "exp/val_id.txt": "2", "exp/test_id.txt": "3,4"},
        ["cam1/0001", "cam3/0003", "cam2/0009", "cam1/0001/inner", "cam5"],
        ["2", "10 é"],
    ),
    "regdb": (
        [f"{folder}/{pid}/1.bmp" for folder in ("Visible", "Thermal") for pid in PEOPLE],
        {
            f"idx/{split}_{folder.lower()}_1.txt": "".join(
                f"{folder}/{pid}/1.bmp {label}\n" for label, pid in enumerate(pids)
            )
            for folder in ("Visible", "Thermal")
            for split, pids in (("train", (1, 2)), ("test", (3, 4)))
        },
        ["Visible/1", "Thermal/9", "Visible", "Thermal/4/inner"],
        ["2", "10 é"],
    ),
    "llcm": (
        [f"{folder}/{pid:04d}/{pid:04d}_c1_1.jpg" for folder in ("vis", "nir") for pid in (1, 2)]
        + [
            f"test_{folder}/cam{camera}/{pid:04d}/1.jpg"
            for folder, cameras in (("vis", range(1, 10)), ("nir", (1, 2, *range(4, 10))))
            for camera in cameras
            for pid in (3, 4)
        ],
        {
            "idx/train_vis.txt": "vis/0001/0001_c1_1.jpg 0\nvis/0002/0002_c1_1.jpg 1\n",
            "idx/train_nir.txt": "nir/0001/0001_c1_1.jpg 0\nnir/0002/0002_c1_1.jpg 1\n",
            "idx/test_id.txt": "3,4",
        },
        ["vis/0001", "nir/0009", "test_vis/cam1/0003", "test_nir/cam3/0003", "test_vis/cam2/0009"],
        ["2", "10 é"],
    ),
    **{
        layout: (
            [
                f"{within}{folder}/{pid:04d}_c{camera}{name}{pid}.{suffix}"
                for folder, pids in (
                    ("bounding_box_train", (1, 2)),
                    ("query", (3, 4)),
                    ("bounding_box_test", (3, 4)),
                )
                for pid in pids
                for camera in (1, 2)
            ],
            {},
            [f"{within}{f}" for f in ("bounding_box_train", "query", "query/inner")],
            ["0003_c2x_f", "-1_c1s1_f", "0003_c1s1_f é"],
        )
        for layout, within, name, suffix in (
            ("market1501", "", "s1_", "jpg"),
            ("dukemtmc_reid", "", "_f", "jpg"),
            ("cuhk03_np_labeled", "labeled/", "_", "png"),
        )
    },
    "msmt17": (
        [f"{part}/{pid:04d}/{pid:04d}_0_01_a.jpg" for part in ("train", "test") for pid in (0, 1)],
        {
            f"list_{part}.txt": f"{pid:04d}/{pid:04d}_0_01_a.jpg {pid}\n"
            for part, pid in (("train", 0), ("val", 1), ("query", 0), ("gallery", 1))
        },
        ["train/0000", "test/0001", "mask_train_v2/0000", "test/0001/inner", "train"],
        ["0000_2_01_b", "é"],
    ),
    "own_folders": (
        [
            f"{split}/{modality}/cam1/{pid}/1.jpg"
            for split, pids in (("train", "12"), ("query", "34"), ("gallery", "34"))
            for modality in ("rgb", "thermal")
            for pid in pids
        ],
        {},
        ["train/rgb/cam1/1", "query/thermal/cam2/3", "gallery/rgb/cam9/anna"],
        ["2", "10 é"],
    ),
    "own_images": (
        ["a/1.jpg", "a/2.jpg", "b/1.jpg"],
        {
            "images.csv": "path,pid,camera,modality,split\na/1.jpg,1,1,rgb,query\n"
            "a/2.jpg,1,2,rgb,gallery\nb/1.jpg,2,1,rgb,train\n"
        },
        ["a", "b"],
        ["3", "10 é"],
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=25)
@given(data=st.data())
def test_every_image_on_disk_is_used_or_named(layout, data):
    """In random trees: suffixes in any case and of other formats, odd names, what is hidden,
    folders within folders, links to files and folders, circles."""
    used, lists, folders, beginnings = LAYOUTS[layout]
    others = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from(folders),
                st.sampled_from(beginnings),
                st.sampled_from(["", "x y", "#"]),
                st.sampled_from([*SUFFIXES, ".JPG", ".Png", ".tif", ".WEBP", ".txt"]),
            ).map(lambda words: f"{words[0]}/{''.join(words[1:])}"),
            unique=True,
            max_size=12,
        )
    )
    links = data.draw(st.sets(st.sampled_from(["file", "folder", "circle"])))
    with tempfile.TemporaryDirectory() as folder:
        root = touch(Path(folder), *used, *others)
        for name, text in lists.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)
        touch(root, *(f"{place}/{name}" for place in folders for name in (".a.jpg", "Thumbs.db")))
        there = {*used, *others}
        place = data.draw(st.sampled_from(folders))
        (root / place).mkdir(parents=True, exist_ok=True)
        if "file" in links:
            (root / place / f"{beginnings[0]}_link.jpg").symlink_to(root / used[0])
            there.add(f"{place}/{beginnings[0]}_link.jpg")
        if "folder" in links and layout not in ("own_folders", "own_images"):
            elsewhere = tempfile.mkdtemp(dir=root, prefix=".elsewhere")
            touch(Path(elsewhere), "1.JPG", "2.jpg")
            (root / place / "linked").symlink_to(elsewhere)
            there |= {f"{place}/linked/1.JPG", f"{place}/linked/2.jpg"}
        if "circle" in links:
            (root / place / "circle").symlink_to(root)
            there.add(f"{place}/circle")
        try:
            dataset = read_dataset(layout, root)
        except BadInput as error:
            assert "files are not read" in str(error)
            return
        left_out = [finding.where for finding in dataset.notes]
        found = (dataset.train + dataset.test).paths.tolist()
        if layout == "own_images":  # whose table may name anything, wherever it is
            there = {path for path in there if Path(path).suffix.lower() in SUFFIXES}
        assert sorted([*found, *left_out]) == sorted(there)
        assert {*used} <= {*found}

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io

from cmnas_tf.data import load_dataset
from cmnas_tf.data.index import Count
from cmnas_tf.data.synthetic import MANIFEST, contact_sheet, write_dataset
from cmnas_tf.data.synthetic_cameras import draw_image
from cmnas_tf.data.synthetic_plan import InfraredCameras, SyntheticPeople
from cmnas_tf.errors import BadInput

SMALL = SyntheticPeople(
    train_identities=5,
    test_identities=3,
    images_per_camera=3,
    image_height=32,
    image_width=16,
    seed=4,
)
REGDB = dataclasses.replace(SMALL, dataset="regdb", train_identities=4, test_identities=4)
MARKET = dataclasses.replace(
    SMALL, dataset="market1501", train_identities=2, test_identities=2, distractors=2, junk=3
)


def contents(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def sysu(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "sysu"
    assert write_dataset(SMALL, root, processes=1)
    return root


@pytest.fixture(scope="module")
def regdb(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "regdb"
    assert write_dataset(REGDB, root, processes=1)
    return root


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "market"
    assert write_dataset(MARKET, root, processes=1)
    return root


def test_the_files_do_not_depend_on_the_number_of_processes(sysu, tmp_path):
    reported = []
    assert write_dataset(SMALL, tmp_path / "two", processes=2, progress=reported.append)
    assert contents(tmp_path / "two") == contents(sysu)
    assert reported == [6 * 3] * 8  # per person: cameras x images
    assert sum(reported) == SMALL.image_count


def test_another_seed_gives_other_images_in_the_same_tree(sysu, tmp_path):
    write_dataset(dataclasses.replace(SMALL, seed=5), tmp_path / "other", processes=1)
    mine, others = contents(sysu), contents(tmp_path / "other")
    assert mine.keys() == others.keys()
    assert not [name for name in mine if name.endswith(".jpg") and mine[name] == others[name]]


def test_sysu_mm01_tree(sysu):
    images = {
        f"cam{camera}/{pid:04d}/{frame:04d}.jpg"
        for camera in range(1, 7)
        for pid in range(1, 9)
        for frame in (1, 2, 3)
    }
    lists = {
        f"exp/{name}_id.{kind}" for name in ("train", "val", "test") for kind in ("txt", "mat")
    }
    assert contents(sysu).keys() == images | lists | {"exp/rand_perm_cam.mat", MANIFEST}


def test_sysu_mm01_cameras_3_and_6_have_one_channel(sysu):
    for camera in range(1, 7):
        path = sysu / f"cam{camera}" / "0002" / "0003.jpg"
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert image.shape == ((32, 16) if camera in (3, 6) else (32, 16, 3))
        drawn = draw_image(SMALL, 2, camera, 3)
        drawn = drawn if drawn.ndim == 2 else drawn[..., ::-1]
        assert np.abs(image.astype(int) - drawn).mean() < 8  # JPEG keeps that much


def test_sysu_mm01_ids(sysu):
    """A quarter of the five training people, rounded down, validates: one."""
    ids = {"train": [1, 2, 3, 4], "val": [5], "test": [6, 7, 8]}
    for name, expected in ids.items():
        assert (sysu / "exp" / f"{name}_id.txt").read_text() == ",".join(map(str, expected)) + "\n"
        array = scipy.io.loadmat(sysu / "exp" / f"{name}_id.mat")["id"]
        assert array.dtype == np.uint16
        np.testing.assert_array_equal(array, [expected])
        header = (sysu / "exp" / f"{name}_id.mat").read_bytes()[:116]
        assert header.rstrip() == b"MATLAB 5.0 MAT-file"  # SciPy's has the time of writing


def test_sysu_mm01_gallery_orders(sysu):
    orders = scipy.io.loadmat(sysu / "exp" / "rand_perm_cam.mat")["rand_perm_cam"]
    assert orders.shape == (6, 1)
    drawn = set()
    for camera in range(1, 7):
        of_camera = orders[camera - 1][0].squeeze()  # as the released evaluations index it
        assert of_camera.shape == (8,)
        for pid in range(1, 9):
            of_person = of_camera[pid - 1]
            assert of_person.shape == (10, 3)
            np.testing.assert_array_equal(np.sort(of_person, axis=1), [[1, 2, 3]] * 10)
            drawn.update(map(tuple, of_person))
    assert len(drawn) == 6  # all orders of three


def test_regdb_tree(regdb):
    images = {
        f"{folder}/{pid}/{frame:04d}.bmp"
        for folder in ("Visible", "Thermal")
        for pid in range(1, 9)
        for frame in (1, 2, 3)
    }
    lists = {
        f"idx/{part}_{kind}_{trial}.txt"
        for part in ("train", "test")
        for kind in ("visible", "thermal")
        for trial in range(1, 11)
    }
    assert contents(regdb).keys() == images | lists | {MANIFEST}
    for folder, shape in ("Visible", (32, 16, 3)), ("Thermal", (32, 16)):
        image = cv2.imread(str(regdb / folder / "8" / "0001.bmp"), cv2.IMREAD_UNCHANGED)
        assert image.shape == shape
    blue_green_red = draw_image(REGDB, 8, 1, 1)[..., ::-1]
    written = cv2.imread(str(regdb / "Visible" / "8" / "0001.bmp"))
    np.testing.assert_array_equal(written, blue_green_red)


def test_regdb_splits_halve_the_people_ten_times(regdb):
    splits = set()
    for trial in range(1, 11):
        people = {}
        for part in ("train", "test"):
            for kind, folder in ("visible", "Visible"), ("thermal", "Thermal"):
                lines = (regdb / f"idx/{part}_{kind}_{trial}.txt").read_text().splitlines()
                paths, labels = zip(*(line.split(" ") for line in lines), strict=True)
                assert labels == tuple("000111222333")
                pids = [int(path.split("/")[1]) for path in paths]
                expected = [f"{folder}/{pid}/{f:04d}.bmp" for pid in pids[::3] for f in (1, 2, 3)]
                assert list(paths) == expected
                people.setdefault(part, tuple(sorted(set(pids))))
                assert people[part] == tuple(pids[::3])  # ascending, the same in both modalities
        assert sorted(people["train"] + people["test"]) == list(range(1, 9))
        splits.add(people["train"])
    assert len(splits) > 5


def test_market1501_tree(market):
    """People 1 and 2 are trained on; 3 and 4 ask with their first image from each camera; 5 and 6
    are distractors. Of the junk, numbers 0 and 2 show person 3, number 1 person 4."""
    images = {f"bounding_box_train/{p:04d}_c{c}s1_{f:06d}_00.jpg" for p, c, f in seen_by((1, 2))}
    for person, camera, frame in seen_by((3, 4)):
        folder = "query" if frame == 1 else "bounding_box_test"
        images.add(f"{folder}/{person:04d}_c{camera}s1_{frame:06d}_00.jpg")
    for person, camera, frame in seen_by((5, 6)):
        images.add(f"bounding_box_test/0000_c{camera}s1_{frame:06d}_{person - 4:02d}.jpg")
    for camera, frame in ((1, 4), (2, 5), (3, 6)):
        images.add(f"bounding_box_test/-1_c{camera}s1_{frame:06d}_00.jpg")
    assert contents(market).keys() == images | {MANIFEST}
    assert len(images) == MARKET.image_count == 6 * 6 * 3 + 3


def seen_by(people):
    return [(p, camera, frame) for p in people for camera in range(1, 7) for frame in (1, 2, 3)]


def test_market1501_images_are_visible_and_junk_is_cut(market):
    """Also cameras 3 and 6, which see infrared in SYSU-MM01. Junk number 1 shows person 4."""
    for name, person, camera, frame, width in (
        ("bounding_box_test/0004_c3s1_000002_00.jpg", 4, 3, 2, 16),
        ("bounding_box_test/0000_c6s1_000003_02.jpg", 6, 6, 3, 16),
        ("bounding_box_test/-1_c2s1_000005_00.jpg", 4, 2, 5, 8),
    ):
        image = cv2.imread(str(market / name), cv2.IMREAD_UNCHANGED)
        assert image.shape == (32, width, 3)
        drawn, other = (draw_image(MARKET, p, camera, frame)[:, :width, ::-1] for p in (person, 1))
        # JPEG keeps that much of small, noisy colours.
        assert np.abs(image.astype(int) - drawn).mean() < 10
        assert np.abs(image.astype(int) - other).mean() > 20


def test_market1501_files_do_not_depend_on_the_number_of_processes(market, tmp_path):
    reported = []
    write_dataset(MARKET, tmp_path / "two", processes=2, progress=reported.append)
    assert contents(tmp_path / "two") == contents(market)
    assert reported == [18, 18, 18 + 2, 18 + 1, 18, 18]


@pytest.mark.parametrize("settings", [SMALL, REGDB, MARKET], ids=lambda settings: settings.dataset)
def test_loaders_read_what_is_written(settings, sysu, regdb, market):
    """Parts and numbers of people and images follow from the settings."""
    root = {"sysu_mm01": sysu, "regdb": regdb, "market1501": market}[settings.dataset]
    dataset = load_dataset(settings.dataset, root)
    frames, train, test = 3, settings.train_identities, settings.test_identities
    expected = {
        "sysu_mm01": {
            "train visible": Count(4 * frames * train, train),
            "train infrared": Count(2 * frames * train, train),
            "test visible": Count(4 * frames * test, test),
            "test infrared": Count(2 * frames * test, test),
        },
        "regdb": {
            f"{part} {modality}": Count(frames * people, people)
            for part, people in (("train", train), ("test", test))
            for modality in ("visible", "infrared")
        },
        "market1501": {
            "train visible": Count(6 * frames * train, train),
            "query visible": Count(6 * test, test),
            "gallery visible": Count(6 * (frames - 1) * test + 6 * frames * 2, test + 1),
        },
    }
    assert dataset.counts() == expected[settings.dataset]


def test_the_same_data_set_is_not_drawn_again(sysu):
    before = contents(sysu)
    reported = []
    assert write_dataset(SMALL, sysu, progress=reported.append) is False
    assert reported == []
    assert contents(sysu) == before


def test_people_drawn_before_an_option_existed_are_the_same_people(sysu, tmp_path):
    copy = shutil.copytree(sysu, tmp_path / "people")
    manifest = json.loads((copy / MANIFEST).read_text())
    for name in InfraredCameras().values():
        del manifest["settings"][name]
    (copy / MANIFEST).write_text(json.dumps(manifest))
    assert not write_dataset(SMALL, copy)
    manifest["settings"]["infrared_noise"] = 2.0
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BadInput, match="other options"):
        write_dataset(SMALL, copy)


def test_the_manifest_says_what_made_the_files(sysu):
    manifest = json.loads((sysu / MANIFEST).read_text())
    of_market = {"distractors", "junk"}
    settings = SMALL.values().items()
    assert manifest["settings"] == {name: v for name, v in settings if name not in of_market}
    assert manifest["images"] == {"visible": 8 * 4 * 3, "infrared": 8 * 2 * 3}


def test_the_manifest_of_market1501_also_names_what_it_alone_has(market):
    manifest = json.loads((market / MANIFEST).read_text())
    of_infrared = InfraredCameras().values()
    settings = MARKET.values().items()
    assert manifest["settings"] == {name: v for name, v in settings if name not in of_infrared}
    assert manifest["images"] == {"visible": 6 * 6 * 3 + 3, "infrared": 0}


def test_settings_of_another_layout_make_no_other_data_set(sysu, market):
    assert write_dataset(dataclasses.replace(SMALL, junk=7), sysu) is False
    with pytest.raises(BadInput, match="drawn with other options"):
        write_dataset(dataclasses.replace(MARKET, junk=7), market)


def test_a_folder_with_another_data_set_is_refused_and_kept(sysu):
    before = contents(sysu)
    with pytest.raises(BadInput, match=f"{sysu} holds synthetic people drawn with other options"):
        write_dataset(dataclasses.replace(SMALL, difficulty=0.25), sysu)
    assert contents(sysu) == before


def test_a_folder_or_file_with_something_else_is_refused_and_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for root in tmp_path, tmp_path / "notes.txt":
        with pytest.raises(BadInput, match=f"{root} holds files that are not synthetic people"):
            write_dataset(SMALL, root)
    assert contents(tmp_path) == {"notes.txt": b"mine"}


def test_an_empty_folder_is_filled(tmp_path):
    assert write_dataset(REGDB, tmp_path, processes=1)
    assert (tmp_path / MANIFEST).is_file()


def test_what_is_interrupted_leaves_nothing(tmp_path):
    def interrupt(images):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(SMALL, tmp_path / "half", processes=1, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_no_processes_are_refused(tmp_path):
    with pytest.raises(BadInput, match="processes must be at least 1"):
        write_dataset(SMALL, tmp_path / "data", processes=0)


def test_a_contact_sheet_has_a_row_for_each_person_and_infrared_last():
    """Images 32 x 16 with a gap of 1 around each: 34 x 18."""
    sheet = contact_sheet(SMALL, rows=2)
    assert sheet.shape == (2 * 34, 6 * 18, 3)
    tiles = sheet.reshape(2, 34, 6, 18, 3).swapaxes(1, 2)  # [people, cameras, 34, 18, 3]
    assert (tiles[:, :, 0] == 255).all() and (tiles[:, :, :, -1] == 255).all()
    for column, camera in enumerate((1, 2, 4, 5)):
        np.testing.assert_array_equal(tiles[1, column, 1:-1, 1:-1], draw_image(SMALL, 2, camera, 1))
    for column, camera in enumerate((3, 6), start=4):
        for channel in range(3):
            np.testing.assert_array_equal(
                tiles[0, column, 1:-1, 1:-1, channel], draw_image(SMALL, 1, camera, 1)
            )


def test_a_killed_process_leaves_none_behind(tmp_path):
    """Reading ends when the last process that can write has ended."""
    program = (
        "from cmnas_tf.data.synthetic import SyntheticPeople, write_dataset\n"
        f"people, folder = SyntheticPeople(train_identities=500), {str(tmp_path / 'people')!r}\n"
        "write_dataset(people, folder, processes=2, progress=lambda _: print(flush=True))"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout.readline()
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]


def test_a_plain_script_draws_people(tmp_path):
    """Without ``if __name__ == "__main__"``, which other processes would need."""
    script = tmp_path / "script.py"
    script.write_text(
        "import cmnas_tf as reid\n"
        "people = reid.SyntheticPeople(train_identities=2, test_identities=2)\n"
        f"assert reid.write_dataset(people, {str(tmp_path / 'people')!r})\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, str(script)], check=True, env=environment)

"""Writes synthetic people to disk, in the exact tree of a data set that exists.

The files are a pure function of :class:`SyntheticPeople`: the same options give the same bytes,
whatever the number of processes. A tree appears whole or not at all, and holds a manifest that says
what made it.
"""

import contextlib
import functools
import io
import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from cmnas_tf.data import regdb
from cmnas_tf.data.synthetic_cameras import draw_image
from cmnas_tf.data.synthetic_plan import ONLY_OF, InfraredCameras, SyntheticPeople
from cmnas_tf.errors import BadInput
from cmnas_tf.files import replacing, write_json, write_text
from cmnas_tf.interrupt import stop_with_parent
from cmnas_tf.modality import INFRARED, MODALITIES
from cmnas_tf.reading import read_json

MANIFEST = "synthetic.json"
GENERATOR_VERSION = 1  # raise it when the same options begin to give other files
TRIALS = 10  # permutations of SYSU-MM01's galleries, splits of RegDB
JPEG_QUALITY = 95


def write_dataset(
    people: SyntheticPeople,
    root: str | os.PathLike[str],
    *,
    processes: int = 1,
    progress: Callable[[int], Any] = lambda images: None,
) -> bool:
    """Draws the data set of ``people`` into the folder ``root``.

    Args:
      root: a folder that does not exist, is empty, or holds this very data set.
      processes: how many draw at the same time; the files do not depend on it. Several are started
        afresh ("spawn"), so a script that asks for them needs ``if __name__ == "__main__":``.
      progress: called with the number of images just written; the numbers add up
        to ``people.image_count``.

    Returns:
      True if the data set was written, False if it was there already.

    Raises:
      BadInput: ``root`` holds something else, or ``processes`` is below 1.
    """
    root = Path(root).absolute()
    if processes < 1:
        raise BadInput(f"processes must be at least 1. Received: {processes}")
    if _is_there(people, root):
        return False
    with replacing(root) as aside:
        aside.mkdir()
        if people.dataset in _LISTS:
            _LISTS[people.dataset](people, aside)
        draw = functools.partial(_write_person, people, aside)
        written: Iterable[int] = map(draw, people.everybody)
        with contextlib.ExitStack() as stack:
            if processes > 1:
                # Spawned, not forked: the caller may have threads (TensorFlow has) that would not
                # survive a fork.
                spawn = multiprocessing.get_context("spawn")
                pool = ProcessPoolExecutor(processes, spawn, stop_with_parent)
                stack.callback(pool.shutdown, cancel_futures=True)
                written = pool.map(draw, people.everybody)
            for images in written:
                progress(images)
        write_json(aside / MANIFEST, _manifest(people))
    return True


def contact_sheet(people: SyntheticPeople, rows: int = 8) -> np.ndarray:
    """The first images of the first ``rows`` people: a row each, a column for each camera.

    Returns:
      uint8, [rows, columns, 3] (red, green, blue): visible cameras first, then infrared ones, with
      a white gap around every image.
    """
    gap = max(1, people.image_height // 32)
    columns = sorted(people.cameras, key=lambda camera: people.cameras[camera] == INFRARED)

    def tile(pid: int, camera: int) -> np.ndarray:
        image = draw_image(people, pid, camera, frame=1)
        if image.ndim == 2:
            image = np.repeat(image[..., None], 3, axis=2)
        return np.pad(image, ((gap, gap), (gap, gap), (0, 0)), constant_values=255)

    return np.block([[[tile(pid, camera)] for camera in columns] for pid in people.pids[:rows]])


def _is_there(people: SyntheticPeople, root: Path) -> bool:
    """Whether ``root`` holds the data set of ``people``; it must hold that or nothing."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    found = "files that are not synthetic people"
    manifest = root / MANIFEST
    if manifest.is_file():
        advice = "Name another folder, or remove this one first."
        there = read_json(manifest, {"settings?": dict}, "a manifest of synthetic people", advice)
        wanted = _manifest(people)
        # An option that did not exist when they were drawn had its default.
        defaults = {n: v for n, v in InfraredCameras().values().items() if n in wanted["settings"]}
        if {**there, "settings": {**defaults, **there.get("settings", {})}} == wanted:
            return True
        found = "synthetic people drawn with other options or by another version"
    raise BadInput(
        f"{root} holds {found}. The folder must not exist, be empty, or hold the data set of these "
        "very options. Name another folder, or remove this one first."
    )


def _manifest(people: SyntheticPeople) -> dict[str, Any]:
    cameras = people.cameras
    seen_by = [cameras[c] for person in people.everybody for c, _ in people.views(person)]
    no_infrared = () if INFRARED in seen_by else people.infrared.values()
    return {
        "generator_version": GENERATOR_VERSION,
        "settings": {
            name: value
            for name, value in people.values().items()
            if ONLY_OF.get(name, people.dataset) == people.dataset and name not in no_infrared
        },
        "images": {modality: seen_by.count(modality) for modality in MODALITIES},
    }


def _write_person(people: SyntheticPeople, root: Path, person: int) -> int:
    """Draws all images of one person; returns how many."""
    import cv2

    views = people.views(person)
    for camera, frame in views:
        path = root / _PATHS[people.dataset](people, person, camera, frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        image = draw_image(people, person, camera, frame)
        if frame not in people.frames:  # junk shows half of the person
            image = image[:, : people.image_width // 2]
        if image.ndim == 3:
            image = image[..., ::-1]  # OpenCV's order is blue, green, red
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == ".jpg" else []
        path.write_bytes(cv2.imencode(path.suffix, image, quality)[1].tobytes())
    return len(views)


def _sysu_path(people: SyntheticPeople, person: int, camera: int, frame: int) -> str:
    return f"cam{camera}/{person:04d}/{frame:04d}.jpg"


def _write_sysu_lists(people: SyntheticPeople, root: Path) -> None:
    """Who is for training, validation (a quarter of the training people) and testing, and in which
    order the ten official trials take the images of a gallery."""
    train, pids = people.train_identities, list(people.pids)
    first_val = train - max(1, train // 4)
    parts = {"train": pids[:first_val], "val": pids[first_val:train], "test": pids[train:]}
    for name, ids in parts.items():
        write_text(root / "exp" / f"{name}_id.txt", ",".join(map(str, ids)) + "\n")
        _write_mat(root / "exp" / f"{name}_id.mat", "id", np.array([ids], np.uint16))

    orders = np.empty((len(people.cameras), 1), object)
    for row, camera in enumerate(people.cameras):
        rng = people.stream("gallery orders", camera)
        of_camera = np.empty((len(pids), 1), object)
        for pid in pids:
            frames = np.tile(np.array(people.frames, np.uint16), (TRIALS, 1))
            of_camera[pid - 1, 0] = rng.permuted(frames, axis=1)
        orders[row, 0] = of_camera
    _write_mat(root / "exp" / "rand_perm_cam.mat", "rand_perm_cam", orders)


def _write_mat(path: Path, name: str, value: np.ndarray) -> None:
    import scipy.io

    file = io.BytesIO()
    scipy.io.savemat(file, {name: value}, do_compression=True)
    # The first 116 bytes are free text, where SciPy puts the time: no two files would be the same.
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + file.getvalue()[116:])


def _regdb_path(people: SyntheticPeople, person: int, camera: int, frame: int) -> str:
    return f"{regdb.FOLDERS[camera]}/{person}/{frame:04d}.bmp"


def _write_regdb_lists(people: SyntheticPeople, root: Path) -> None:
    """Ten splits of all people into training and testing; labels from 0, by ascending id."""
    for trial in range(1, TRIALS + 1):
        shuffled = people.stream("split", trial).permutation(people.pids)
        train, test = np.split(shuffled, [people.train_identities])
        for name, pids in ("train", np.sort(train)), ("test", np.sort(test)):
            for camera, folder in regdb.FOLDERS.items():
                lines = [
                    f"{_regdb_path(people, pid, camera, frame)} {label}\n"
                    for label, pid in enumerate(pids)
                    for frame in people.frames
                ]
                write_text(root / "idx" / f"{name}_{folder.lower()}_{trial}.txt", "".join(lines))


def _market_path(people: SyntheticPeople, person: int, camera: int, frame: int) -> str:
    """A camera's first image of a person to test on is the query, the others are the gallery."""
    folder, identity, box = "bounding_box_test", f"{person:04d}", 0
    if frame not in people.frames:
        identity = "-1"
    elif person not in people.pids:  # distractors share a number
        identity, box = "0000", person - len(people.pids)
    elif person <= people.train_identities:
        folder = "bounding_box_train"
    elif frame == 1:
        folder = "query"
    return f"{folder}/{identity}_c{camera}s1_{frame:06d}_{box:02d}.jpg"


# By data set: where an image of (people, person, camera, frame) is, and what writes the files that
# say who is for training and who for testing.
_PATHS = {"sysu_mm01": _sysu_path, "regdb": _regdb_path, "market1501": _market_path}
_LISTS = {"sysu_mm01": _write_sysu_lists, "regdb": _write_regdb_lists}

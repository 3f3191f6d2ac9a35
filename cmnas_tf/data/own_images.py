"""Images of one's own: described line by line in ``images.csv``, or by the folders they lie in.

The table (data set ``own_images``) leaves the files where they are and names them however they
like. The folders (data set ``own_folders``) need no table. People have numbers, or names: where one
has a name, all are numbered by the order of their names.

Every query image is searched for in the whole gallery, in whatever modalities the two are. As on
Market-1501, a query does not see gallery images of its own identity from its own camera.
"""

import csv
import os
import posixpath
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from cmnas_tf.data.findings import Finding
from cmnas_tf.data.index import ROLES, Dataset, Image, Images
from cmnas_tf.data.layouts import Layout, register_dataset
from cmnas_tf.data.protocols import SingleQuery
from cmnas_tf.data.walk import SUFFIXES, Walk
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import INFRARED, VISIBLE

TABLE = "images.csv"
COLUMNS = ("path", "pid", "camera", "modality", "split")
SPLITS = ("train", *ROLES)
MODALITY_OF = {
    "visible": VISIBLE,
    "rgb": VISIBLE,
    "infrared": INFRARED,
    "ir": INFRARED,
    "nir": INFRARED,
    "thermal": INFRARED,
}

TABLE_TREE = """\
images.csv    one line for each image, below this first line:
              path,pid,camera,modality,split
              path: from this folder on, or absolute; camera: a whole number from 0;
              pid: a whole number from 0, or a name;
              modality: visible or infrared (also rgb, ir, nir, thermal);
              split: train, query or gallery. Nobody is trained on and tested with."""

FOLDER_TREE = """\
{train,query,gallery}/{visible,infrared}/cam<camera>/<pid>/*.{jpg,png,bmp}
              camera: a whole number from 0; pid: one, or a name; one modality may be missing;
              nobody is trained on (train) and tested with (query, gallery)"""

# What was read of an image, and where that is written.
_Row = tuple[Mapping[str, str], str]


def _table_rows(root: Path) -> Iterator[_Row]:
    """What a table describes; its columns stand in any order, further ones are passed over."""
    table = root / TABLE
    first_seen: dict[tuple[int, int], str] = {}
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", skipinitialspace=True)
            head = reader.fieldnames or ()
            if missing := [name for name in COLUMNS if name not in head]:
                raise BadInput(
                    f"{table}, line 1, has no column {', '.join(missing)}. It must name the "
                    f"columns {','.join(COLUMNS)}. Received: {','.join(head)!r}"
                )
            for row in reader:
                where, image = f"{table}, line {reader.line_num}", root / row["path"].strip()
                # Not left to the check of every data set: only here the line is known.
                try:
                    status = image.stat()  # one file is one image, by whatever path or link
                except OSError:
                    status = None
                if status is None or not stat.S_ISREG(status.st_mode):
                    raise BadInput(
                        f"{where}: there is no file {image}. Paths start from {root}; correct the "
                        "path or remove the line"
                    )
                before = first_seen.setdefault((status.st_dev, status.st_ino), where)
                if before != where:
                    raise BadInput(
                        f"{where} describes {image} again, after {before}. Remove one of the lines"
                    )
                yield row, where
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{table} is not UTF-8 text with commas: {error}. Save it as CSV") from error


def _folder_rows(walk: Walk) -> Iterator[_Row]:
    """The images in the folders of :data:`SPLITS`."""
    for split in SPLITS:
        for path in walk.images(split):
            levels = path.split("/")[1:-1]
            if len(levels) != 3 or not levels[1].startswith("cam"):
                raise BadInput(f"{walk.root / path} does not lie where it should:\n{FOLDER_TREE}")
            modality, camera, pid = levels
            values = (path, pid, camera.removeprefix("cam"), modality, split)
            yield dict(zip(COLUMNS, values, strict=True)), str(walk.root / path)


def _load_table(root: Path) -> Dataset:
    """What a table describes; images beside those that it names are noted."""
    found = _dataset("own_images", root, _table_rows(root), TABLE_TREE)
    listed = {path for path in (found.train + found.test).paths if not path.startswith("/")}
    beside = (
        posixpath.join(folder, entry.name)
        for folder in set(map(posixpath.dirname, listed))
        for entry in os.scandir(root / folder)
        if not entry.name.startswith(".")
    )
    unlisted = sorted(p for p in beside if p.lower().endswith(SUFFIXES) and p not in listed)
    why = f"left out; {TABLE} does not name it"
    return replace(found, notes=tuple(Finding(path, why) for path in unlisted))


def _load_folders(root: Path) -> Dataset:
    """What lies in folders."""
    walk = Walk(root)
    dataset = _dataset("own_folders", root, _folder_rows(walk), FOLDER_TREE)
    return replace(dataset, notes=tuple(walk.left_out))


def _dataset(layout: str, root: Path, rows: Iterable[_Row], tree: str) -> Dataset:
    """The data set of ``rows``; it has no training images where these have none.

    Raises:
      BadInput: if the rows have another form, or none is for ``query`` or for ``gallery``.
    """
    found = []
    for row, where in rows:
        split = _one_of("split", row["split"], SPLITS, where)
        person, path = row["pid"].strip(), PurePosixPath(row["path"].strip()).as_posix()
        if not any(map(str.isalpha, person)):  # such as -1, which is nobody's name
            person = str(_whole_number("pid", row["pid"], where))
        camera = _whole_number("camera", row["camera"], where)
        modality = MODALITY_OF[_one_of("modality", row["modality"], MODALITY_OF, where)]
        found.append((path, person, camera, modality, split))
    people = {person for _, person, *_ in found}
    names = () if all(map(str.isdecimal, people)) else tuple(sorted(people))
    number_of = {name: number for number, name in enumerate(names)}
    images: dict[str, list[Image]] = {split: [] for split in SPLITS}
    for path, person, camera, modality, split in sorted(found):
        pid = number_of[person] if names else int(person)
        role = split if split in ROLES else ""
        images[split].append(Image(path, pid, camera, modality, role))
    for role in ROLES:
        if not images[role]:
            raise BadInput(f"{root} has no image for {role}, so nothing could be tested:\n{tree}")
    test = Images.of(sorted(images["query"] + images["gallery"]))
    return Dataset(layout, root, Images.of(images["train"]), test, names=names)


def _one_of(name: str, word: str, allowed: Iterable[str], where: str) -> str:
    word = word.strip().lower()
    if word not in allowed:
        raise BadInput(f"{where}: {name} must be one of {', '.join(allowed)}. Received: {word!r}")
    return word


def _whole_number(name: str, word: str, where: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", word.strip()):  # an int64
        raise BadInput(
            f"{where}: {name} must be a whole number from 0, of 18 digits at most"
            f"{', or a name' if name == 'pid' else ''}. Received: {word!r}"
        )
    return int(word)


register_dataset(
    "own_images",
    Layout(
        title="images of your own",
        load=lambda root, trial: _load_table(root),
        tree=TABLE_TREE,
        marks=(TABLE,),
        protocol=SingleQuery,
    ),
)
register_dataset(
    "own_folders",
    Layout(
        title="images of your own in folders",
        load=lambda root, trial: _load_folders(root),
        tree=FOLDER_TREE,
        marks=SPLITS,
        protocol=SingleQuery,
    ),
)

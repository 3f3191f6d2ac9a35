"""Images of one's own: described line by line in ``images.csv``, or by the folders they lie in.

The table (data set ``own_images``) leaves the files where they are and names them however they
like. The folders (data set ``own_folders``) need no table.

Every query image is searched for in the whole gallery, in whatever modalities the two are. As on
Market-1501, a query does not see gallery images of its own identity from its own camera.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from cmnas_tf.data.index import ROLES, Dataset, Image, Images
from cmnas_tf.data.layouts import Layout, register_dataset
from cmnas_tf.data.protocols import SingleQuery
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
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")

TABLE_TREE = """\
images.csv    one line for each image, below this first line:
              path,pid,camera,modality,split
              path: from this folder on, or absolute; pid and camera: whole numbers from 0;
              modality: visible or infrared (also rgb, ir, nir, thermal);
              split: train, query or gallery. Nobody is trained on and tested with."""

FOLDER_TREE = """\
{train,query,gallery}/{visible,infrared}/cam<camera>/<pid>/*.{jpg,jpeg,png,bmp}
              camera and pid: whole numbers from 0; one modality may be missing;
              nobody is trained on (train) and tested with (query, gallery)"""

# What was read of an image, and where that is written.
_Row = tuple[Mapping[str, str], str]


def _table_rows(table: Path) -> Iterator[_Row]:
    """What a table describes; its columns stand in any order, further ones are passed over."""
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
                yield row, f"{table}, line {reader.line_num}"
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{table} is not UTF-8 text with commas: {error}. Save it as CSV") from error


def _folder_rows(root: Path) -> Iterator[_Row]:
    """The images in the folders of :data:`SPLITS`."""
    for split in SPLITS:
        for file in sorted((root / split).rglob("[!.]*")):
            if file.suffix.lower() not in SUFFIXES:
                continue
            path = file.relative_to(root).as_posix()
            levels = path.split("/")[1:-1]
            if len(levels) != 3 or not levels[1].startswith("cam"):
                raise BadInput(f"{file} does not lie where it should:\n{FOLDER_TREE}")
            modality, camera, pid = levels
            values = (path, pid, camera.removeprefix("cam"), modality, split)
            yield dict(zip(COLUMNS, values, strict=True)), str(file)


def _dataset(layout: str, root: Path, rows: Iterable[_Row], tree: str) -> Dataset:
    """The data set of ``rows``; it has no training images where these have none.

    Raises:
      BadInput: if the rows have another form, describe an image twice, an image is missing, or none
        is for ``query`` or for ``gallery``.
    """
    images: dict[str, list[Image]] = {split: [] for split in SPLITS}
    first_seen: dict[str, str] = {}
    for row, where in rows:
        split = _one_of("split", row["split"], SPLITS, where)
        image = Image(
            # Two ways of writing a path are one image.
            PurePosixPath(row["path"].strip()).as_posix(),
            _whole_number("pid", row["pid"], where),
            _whole_number("camera", row["camera"], where),
            MODALITY_OF[_one_of("modality", row["modality"], MODALITY_OF, where)],
            split if split in ROLES else "",
        )
        if image.path in first_seen:
            raise BadInput(
                f"{where} describes {image.path} again, after {first_seen[image.path]}. Remove "
                "one of the lines"
            )
        first_seen[image.path] = where
        # Not left to the check that every data set goes through: only here the line is known.
        if not (root / image.path).is_file():
            raise BadInput(
                f"{where}: there is no file {root / image.path}. Paths start from {root}; correct "
                "the path or remove the line"
            )
        images[split].append(image)
    for role in ROLES:
        if not images[role]:
            raise BadInput(f"{root} has no image for {role}, so nothing could be tested:\n{tree}")
    test = images["query"] + images["gallery"]
    return Dataset(layout, root, Images.of(sorted(images["train"])), Images.of(sorted(test)))


def _one_of(name: str, word: str, allowed: Iterable[str], where: str) -> str:
    word = word.strip().lower()
    if word not in allowed:
        raise BadInput(f"{where}: {name} must be one of {', '.join(allowed)}. Received: {word!r}")
    return word


def _whole_number(name: str, word: str, where: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", word.strip()):  # an int64
        raise BadInput(
            f"{where}: {name} must be a whole number from 0, of 18 digits at most. "
            f"Received: {word!r}"
        )
    return int(word)


register_dataset(
    "own_images",
    Layout(
        title="images of your own",
        load=lambda root, trial: _dataset(
            "own_images", root, _table_rows(root / TABLE), TABLE_TREE
        ),
        tree=TABLE_TREE,
        marks=(TABLE,),
        protocol=SingleQuery,
    ),
)
register_dataset(
    "own_folders",
    Layout(
        title="images of your own in folders",
        load=lambda root, trial: _dataset("own_folders", root, _folder_rows(root), FOLDER_TREE),
        tree=FOLDER_TREE,
        marks=SPLITS,
        protocol=SingleQuery,
    ),
)

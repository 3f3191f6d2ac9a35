"""Which images are to be embedded in bulk, and their bytes: files here, or storage behind a URL.

A list is a table of PyArrow with the columns :data:`COLUMNS`, all text. ``id``, ``camera`` and
``time``, which is as it was given, are empty where they are not known.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cmnas_tf.data.own_images import MODALITY_OF
from cmnas_tf.data.walk import SUFFIXES
from cmnas_tf.errors import BadInput
from cmnas_tf.extras import needing
from cmnas_tf.reading import no_device, read_bytes
from cmnas_tf.serving.embed_files import Read
from cmnas_tf.serving.entries import entries_of, entry_of

COLUMNS = ("path", "id", "camera", "modality", "time")


class ImageList(NamedTuple):
    """Images in an order: the table, and the folder or URL that its paths start from."""

    root: str
    table: Any


def list_images(images: str) -> ImageList:
    """Lists images.

    Args:
      images: a folder, see :func:`~cmnas_tf.serving.entries.entries_of`, whose images are sorted by
        path; or a table, ``.csv``, whose first line names the columns, of which ``time`` may be
        missing, and whose paths start from its folder; or the URL of either, for fsspec.

    Raises:
      BadInput: there is no image; one does not lie where it should, or is listed twice; the table
        is of another form; or a package is missing.
    """
    with needing("ray"):
        import pyarrow as pa
    is_table, is_url = images.lower().endswith(".csv"), "://" in images
    root = images if is_url else str(Path(images).absolute())
    if is_table:
        root = root.rpartition("/")[0]
        if is_url:
            fs, base = _storage(images)
            with fs.open(base) as file:
                table = _read_table(file, images)
        else:
            table = _read_table(str(no_device(images)), images)
        return ImageList(root, table)
    if is_url:
        fs, base = _storage(images)
        names = sorted(path.removeprefix(base).lstrip("/") for path in fs.find(base))
        entries = [entry_of(name, images) for name in names if name.lower().endswith(SUFFIXES)]
        if not entries:
            raise BadInput(f"{images} holds no images ({', '.join(SUFFIXES)}).")
    else:
        entries = entries_of(Path(images))
    columns = [*zip(*entries, strict=True), [""] * len(entries)]
    return ImageList(root, pa.table([pa.array(c, pa.string()) for c in columns], COLUMNS))


def reader(root: str) -> Read:
    """What reads images whose paths start from a folder or a URL."""
    if "://" in root:
        fs, base = _storage(root)
        # By ranges, all bytes each: ``cat`` would take a name with an asterisk for a pattern.
        return lambda names: fs.cat_ranges(
            [f"{base}/{name}" for name in names], None, None, on_error="raise"
        )

    def read(names: Sequence[str]) -> list[bytes]:
        try:
            return [read_bytes(Path(root, name)) for name in names]
        except FileNotFoundError as error:
            if Path(root).is_dir():
                raise
            raise OSError(f"There is no folder {root} here. Mount it, and rerun.") from error

    return read


def _storage(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path there."""
    with needing("ray"):
        import fsspec
    try:
        return fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:  # a package for it is missing, or it is unknown
        raise BadInput(f"{url} cannot be opened: {error}.") from error


def _read_table(file: Any, name: str) -> Any:
    """The table of a CSV file, its modalities in the words of this package."""
    import pyarrow as pa
    from pyarrow import compute, csv

    texts = csv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.string()))
    try:
        found = csv.read_csv(file, convert_options=texts)
    except (pa.ArrowInvalid, FileNotFoundError) as error:
        raise BadInput(f"{name} is no table of images: {error}. {_form()}") from error
    if "time" not in found.column_names:
        found = found.append_column("time", pa.array([""] * len(found), pa.string()))
    if missing := [column for column in COLUMNS if column not in found.column_names]:
        raise BadInput(f"{name} has no column {', '.join(missing)}. {_form()}")
    found = found.select(COLUMNS)
    words = compute.unique(found["modality"])
    modalities = [MODALITY_OF.get(word.strip().lower()) for word in words.to_pylist()]
    if None in modalities:
        wrong = words[modalities.index(None)].as_py()
        row = compute.index(found["modality"], wrong).as_py()
        raise BadInput(f"{name}, image {row + 1}: the modality {wrong!r} is not known. {_form()}")
    paths = found["path"].value_counts()
    if not len(paths) or compute.max(paths.field("counts")).as_py() > 1:
        twice = [one["values"].as_py() for one in paths if one["counts"].as_py() > 1][:1]
        raise BadInput(f"{name} lists {twice[0]!r} twice." if twice else f"{name} lists no image.")
    told = pa.array(modalities, pa.string()).take(compute.index_in(found["modality"], words))
    return found.set_column(COLUMNS.index("modality"), "modality", told).combine_chunks()


def _form() -> str:
    return (
        f"Its first line must name the columns {','.join(COLUMNS)}; time may be missing. A "
        f"modality is one of {', '.join(MODALITY_OF)}."
    )

"""Which images are to be embedded in bulk, and their bytes: files here, or storage behind a URL.

A list is a table of PyArrow with the columns :data:`COLUMNS`, all text. ``id``, ``camera`` and
``time``, which is as it was given, are empty where they are not known.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cmnas_tf.data.own_images import MODALITY_OF
from cmnas_tf.data.store import holds_shards, open_store, read_index
from cmnas_tf.data.walk import SUFFIXES
from cmnas_tf.errors import BadInput
from cmnas_tf.extras import needing
from cmnas_tf.reading import no_device
from cmnas_tf.serving.embed_files import Read
from cmnas_tf.serving.entries import Entry, entries_of, entry_of

COLUMNS = ("path", "id", "camera", "modality", "time")

_FORM = (
    f"Its first line must name the columns {','.join(COLUMNS)}; time may be missing. A modality is "
    f"one of {', '.join(MODALITY_OF)}, and no image is listed twice."
)


def list_images(images: str) -> tuple[str, Any]:
    """The folder or URL that the paths of images start from, and their table.

    Args:
      images: a folder, see :func:`~cmnas_tf.serving.entries.entries_of`, whose images are sorted by
        path; or a table, ``.csv``, whose paths start from its folder; or the URL of either; or
        shards of :mod:`cmnas_tf.data.store`, in their order.

    Raises:
      BadInput: there is no image; one does not lie where it should, or is listed twice; the table
        is of another form; or a package is missing.
    """
    with needing("ray"):
        import pyarrow as pa
    is_url = "://" in images
    root = images if is_url else str(Path(images).absolute())
    fs, base = _storage(images) if is_url else (None, images)
    if images.lower().endswith(".csv"):
        opened = partial(fs.open, base) if fs else partial(no_device(base).open, "rb")
        return root.rpartition("/")[0], _read_table(opened, images)
    if fs:
        names = sorted(path.removeprefix(base).lstrip("/") for path in fs.find(base))
        entries = [entry_of(name, images) for name in names if name.lower().endswith(SUFFIXES)]
    elif holds_shards(Path(base)):
        listed = (row.image for row in read_index(Path(base)))
        entries = [Entry(i.path, str(i.pid), str(i.camera), i.modality) for i in listed]
    else:
        entries = entries_of(Path(base))
    if not entries:
        raise BadInput(f"{images} holds no images ({', '.join(SUFFIXES)}).")
    columns = [*zip(*entries, strict=True), [""] * len(entries)]
    return root, pa.table([pa.array(column, pa.string()) for column in columns], COLUMNS)


def reader(root: str) -> Read:
    """What reads images whose paths start from a folder, shards or a URL."""
    if "://" in root:
        fs, base = _storage(root)
        # By ranges, all bytes each: ``cat`` would take a name with an asterisk for a pattern.
        return lambda names: fs.cat_ranges(
            [f"{base}/{name}" for name in names], None, None, on_error="raise"
        )

    store = open_store(root)

    def read(names: Sequence[str]) -> list[bytes]:
        try:
            return [store.read(name) for name in names]
        except FileNotFoundError as error:
            if Path(root).is_dir():
                raise
            raise OSError(f"There is no folder {root} here. Mount it.") from error

    return read


def _storage(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path there."""
    with needing("ray"):
        import fsspec
    try:
        return fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:  # a package for it is missing, or it is unknown
        raise BadInput(f"{url} cannot be opened: {error}.") from error


def _read_table(opened: Callable[[], Any], name: str) -> Any:
    """The table of a CSV file, its modalities in the words of this package."""
    import pyarrow as pa
    from pyarrow import compute, csv

    texts = csv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.string()))
    try:
        with opened() as file:
            found = csv.read_csv(file, convert_options=texts)
        if "time" not in found.column_names:
            found = found.append_column("time", pa.array([""] * len(found), pa.string()))
        found = found.select(COLUMNS)
        if compute.count_distinct(found["path"]).as_py() < max(1, len(found)):
            raise ValueError("it lists no image, or one twice")
        words = compute.unique(found["modality"])
        told = pa.array([MODALITY_OF[word.strip().lower()] for word in words.to_pylist()])
    except (FileNotFoundError, ValueError, KeyError) as error:  # PyArrow's are of these
        raise BadInput(f"{name} is no table of images: {error}. {_FORM}") from error
    modalities = told.take(compute.index_in(found["modality"], words))
    return found.set_column(COLUMNS.index("modality"), "modality", modalities)

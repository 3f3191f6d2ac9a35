"""Writing a data set as shards, see :mod:`cmnas_tf.data.store`."""

import contextlib
import csv
import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cmnas_tf.data.findings import sentences
from cmnas_tf.data.index import Dataset, Image
from cmnas_tf.data.layouts import LAYOUTS
from cmnas_tf.data.store import (
    COLUMNS,
    INDEX,
    MANIFEST,
    PARTS,
    SCHEMA_VERSION,
    Row,
    ShardEntry,
    in_threads,
    open_store,
)
from cmnas_tf.errors import BadInput
from cmnas_tf.files import replacing, sha256, write_json, writing_by

# Of a record in a TFRecord file: its length (8 bytes) and the checksum of that (4) before it, the
# checksum of its content (4) behind it.
_BEFORE, _BEHIND = 12, 4


def write_shards(
    dataset: Dataset,
    shards_dir: str | os.PathLike[str],
    shard_bytes: int,
    progress: Callable[[int], Any] = lambda images: None,
) -> dict[str, Any]:
    """Writes a data set as shards; gives their manifest. The folder appears whole or not at all.

    The same images give the same bytes.

    Args:
      dataset: what to write; every image of it must be readable. What its test protocol needs
        beside the images is copied where it exists.
      shards_dir: the folder; it must not exist.
      shard_bytes: a shard takes images until the next one would make it larger than this.
      progress: called with the number of images just written.

    Raises:
      BadInput: the folder exists.
      OSError: an image cannot be read, or the disk is full.
    """
    require_absent(shards_dir)
    companions = LAYOUTS[dataset.layout].companions
    with replacing(shards_dir) as aside:
        aside.mkdir()
        rows = list(_write_images(dataset, aside, shard_bytes, progress))
        with (aside / INDEX).open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerow(COLUMNS)
            lines.writerows((row.part, *row.image, *row.place) for row in rows)
        copied = [name for name in companions if (dataset.root / name).is_file()]
        for name in copied:
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(dataset.root / name, aside / name)
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "layout": dataset.layout,
            "trial": dataset.trial,
            "modalities": list(dataset.modalities),
            "counts": {part: asdict(count) for part, count in dataset.counts().items()},
            "fingerprint": dataset.fingerprint,
            "notes": sentences(dataset.notes),
            **({"names": list(dataset.names)} if dataset.names else {}),
            "shards": [
                {"images": images, **_described(aside, shard)}
                for shard, images in Counter(row.place.shard for row in rows).items()
            ],
            "files": [_described(aside, name) for name in (INDEX, *copied)],
        }
        write_json(aside / MANIFEST, manifest)
    return manifest


def require_absent(shards_dir: str | os.PathLike[str]) -> None:
    """Raises BadInput if the folder exists, for whoever wants to know before the long way there."""
    if Path(shards_dir).exists():
        raise BadInput(
            f"shards_dir={shards_dir} exists; give a folder that does not, or remove it first."
        )


def _write_images(
    dataset: Dataset, folder: Path, shard_bytes: int, progress: Callable[[int], Any]
) -> Iterator[Row]:
    """Writes the shards; yields where each image went, in the order of the tables."""
    import tensorflow as tf

    listed = [(part, image) for part in PARTS for image in getattr(dataset, part)]
    contents = in_threads(open_store(dataset.root).read, [image.path for _, image in listed])
    names = (f"{number:05d}.tfrecord" for number in itertools.count())
    shard, size = "", 0
    with writing_by(tf.errors.OpError, "the shards"), contextlib.ExitStack() as opened:
        for (part, image), encoded in zip(listed, contents, strict=True):
            record = _example(part, image, encoded)
            length = _BEFORE + len(record) + _BEHIND
            if not shard or size + length > shard_bytes:
                opened.close()
                shard, size = next(names), 0
                writer = opened.enter_context(tf.io.TFRecordWriter(str(folder / shard)))
            writer.write(record)
            offset = size + _BEFORE + record.index(encoded)
            yield Row(part, image, ShardEntry(shard, offset, len(encoded)))
            size += length
            progress(1)


def _example(part: str, image: Image, encoded: bytes) -> bytes:
    """A serialised ``tf.train.Example`` of an image."""
    from tensorflow.train import BytesList, Example, Feature, Features, Int64List

    features = {"encoded": Feature(bytes_list=BytesList(value=[encoded]))}
    for name, value in {"part": part, **image._asdict()}.items():
        if isinstance(value, int):
            features[name] = Feature(int64_list=Int64List(value=[value]))
        else:
            features[name] = Feature(bytes_list=BytesList(value=[value.encode()]))
    return Example(features=Features(feature=features)).SerializeToString(deterministic=True)


def _described(folder: Path, name: str) -> dict[str, Any]:
    file = folder / name
    return {"file": name, "bytes": file.stat().st_size, "sha256": sha256(file)}

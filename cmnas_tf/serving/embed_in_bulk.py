"""Images in bulk: their embeddings in parts, on this machine or on the nodes of a Ray cluster.

A part is a fixed range of the list of images, so whoever embeds it, and however often, writes the
same. One that is there is not embedded again: that is all that it takes to resume.
"""

import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cmnas_tf.devices.ray_nodes import RayNodes
from cmnas_tf.errors import BadInput
from cmnas_tf.files import locked, write_json
from cmnas_tf.progress import progress_bar
from cmnas_tf.serving.build_gallery import network_digest
from cmnas_tf.serving.embed_files import FileEmbedder, Refused
from cmnas_tf.serving.embedded import MANIFEST, SUFFIX, Embedded, about_part, part_file, write_part
from cmnas_tf.serving.image_list import list_images, reader
from cmnas_tf.training.trained import TrainedNetwork, load_network

DTYPES = ("float32", "float16")


class Part(NamedTuple):
    """Some of the images, by the columns of their list; what its file says of itself, too."""

    file: Path
    images: Mapping[str, Sequence[str]]
    root: str  # the folder or URL that paths start from
    about: Mapping[str, str]  # digests of the network and of the images, and the vectors' dtype

    def check(self) -> None:
        """Raises BadInput if the file, which is there, is of something else."""
        if not self.about.items() <= about_part(self.file).items():
            raise BadInput(
                f"{self.file} is of other images, another network or dtype, or a part had another "
                "number of images: what is to be embedded has changed since it was begun. Give "
                "what was given then, or another `output`."
            )

    def write(self, embedder: FileEmbedder, tell: Callable[[int], None]) -> None:
        """Embeds the images, and tells how many more are done; leaves out those refused."""
        paths, dtype = self.images["path"], self.about["dtype"]
        vectors, refused = np.empty((len(paths), embedder.size), dtype), Refused()
        for rows, found, others in embedder(paths, self.images["modality"], reader(self.root)):
            vectors[rows] = found
            refused |= others
            tell(len(rows) + len(others))
        kept = [row for row in range(len(paths)) if row not in refused]
        images = {name: [column[row] for row in kept] for name, column in self.images.items()}
        why = [{"path": paths[row], "reason": refused[row]} for row in sorted(refused)]
        write_part(self.file, images, vectors[kept], {**self.about, "refused": why})


def embed_in_bulk(
    model: TrainedNetwork,
    images: str | os.PathLike[str],
    output: str | os.PathLike[str],
    dtype: str = "float32",
    part_images: int = 8192,
    nodes: RayNodes | None = None,
    progress: bool = True,
) -> Embedded:
    """Embeds images in bulk, each once; call it again to resume, whatever interrupted it.

    An image that cannot be read, or that is not there any more, is left out, and named in the
    result and in its manifest. Any other fault of the storage ends it; finished parts are kept.

    Args:
      model: the trained network, from a checkpoint that all nodes see by its path.
      images: see :func:`~cmnas_tf.serving.image_list.list_images`.
      output: folder of the parts, whose name ends with ``.parquet``.
      dtype: ``float32`` or ``float16``, which takes half the space.
      part_images: images of a part: what is done again where a process ends before its time.
      nodes: of a cluster; by default this process embeds all.
      progress: whether to show a bar.

    Raises:
      BadInput: see ``list_images``; ``output`` is of other images, or in use; or PyArrow is not
        installed.
    """
    folder = Path(output).absolute()
    if folder.suffix != SUFFIX:
        raise BadInput(f"output={os.fspath(output)!r} must be a folder that ends with {SUFFIX}.")
    if dtype not in DTYPES:
        raise BadInput(f"dtype={dtype!r} is not allowed; it must be one of {', '.join(DTYPES)}.")
    root, table = list_images(os.fspath(images))
    model.check_trained_on(*table["modality"].unique().to_pylist())
    made_by = {"network": network_digest(model), "dtype": dtype}
    checkpoint = str(model.checkpoint.path.absolute())

    def part(number: int) -> Part:
        rows = table.slice(number * part_images, part_images).to_pydict()
        listed = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
        return Part(part_file(folder, number), rows, root, {**made_by, "images": listed})

    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", str(folder)):
        count = -(-len(table) // part_images)
        if part_file(folder, count).exists():
            raise BadInput(f"{part_file(folder, count)} is of other images. Give another `output`.")
        left = [number for number in range(count) if not part_file(folder, number).exists()]
        for number in {*range(count)}.difference(left):
            part(number).check()
        if left:
            (folder / MANIFEST).unlink(missing_ok=True)  # of parts that are there no more
        done = len(table) - sum(min(part_images, len(table) - n * part_images) for n in left)
        with progress_bar(len(table), "image", progress, done) as bar:
            if nodes is not None:
                write = partial(_write_on_node, checkpoint, model.weights)
                for images_done in nodes.each(write, map(part, left)):
                    bar.update(images_done)
            elif left:
                embedder = FileEmbedder(model)
                for one in map(part, left):
                    one.write(embedder, bar.update)
        about = [about_part(part_file(folder, number)) for number in range(count)]
        refused = [image for one in about for image in one["refused"]]
        manifest = {
            **made_by,
            "checkpoint": checkpoint,
            "weights": model.weights,
            "size": model.embedding_size,
            "images": len(table),
            "rows": len(table) - len(refused),
            "parts": count,
            "refused": refused,
        }
        write_json(folder / MANIFEST, manifest)
    return Embedded.load(Path(output))


def _write_on_node(checkpoint: str, weights: str, part: Part) -> int:
    """Writes a part in a process of a node, which keeps the network; gives how many images."""
    if not part.file.parent.is_dir():  # or it would be made here alone
        raise BadInput(f"There is no folder {part.file.parent} here. Mount it.")
    part.write(_embedder(checkpoint, weights, part.about["network"]), lambda _: None)
    return len(part.images["path"])


@functools.lru_cache(maxsize=1)
def _embedder(checkpoint: str, weights: str, network: str) -> FileEmbedder:
    model = load_network(checkpoint, weights)
    if network_digest(model) != network:
        raise BadInput(f"{checkpoint} holds another network here. Copy it here, and rerun.")
    return FileEmbedder(model)

"""Images in bulk: their embeddings in parts, on this machine or on the nodes of a Ray cluster.

A part is a fixed range of the list of images, so whoever embeds it, and however often, writes the
same. One that is there is not embedded again: that is all that it takes to resume.
"""

import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cmnas_tf.devices.ray_nodes import RayNodes
from cmnas_tf.errors import BadInput
from cmnas_tf.files import locked, write_json
from cmnas_tf.progress import progress_bar
from cmnas_tf.serving.build_gallery import network_digest
from cmnas_tf.serving.embed_files import FileEmbedder
from cmnas_tf.serving.embedded import MANIFEST, SUFFIX, Embedded, about_part, part_file, write_part
from cmnas_tf.serving.image_list import list_images, reader
from cmnas_tf.training.trained import TrainedNetwork, load_network

DTYPES = ("float32", "float16")


class Part(NamedTuple):
    """Some of the images, by the columns of their list, and the file of their embeddings."""

    file: Path
    images: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Job:
    """How each part is made; sent to the nodes of a cluster.

    Attributes:
      checkpoint, weights, network: which trained network, and its digest.
      root: the folder or URL that paths start from.
      dtype: of the vectors.
    """

    checkpoint: str
    weights: str
    network: str
    root: str
    dtype: str

    def is_done(self, part: Part) -> bool:
        """Whether a part is there; BadInput: its file is one of other images or of another kind."""
        if not part.file.exists():
            return False
        if self._about(part).items() <= about_part(part.file).items():
            return True
        raise BadInput(
            f"{part.file} is of other images, another network or dtype, or a part had another "
            "number of images: what is to be embedded has changed since it was begun. Give what "
            "was given then, or another `output`."
        )

    def embed(self, part: Part, embedder: FileEmbedder, tell: Callable[[int], None]) -> None:
        """Writes a part, without the images that cannot be embedded, of which it says why.

        Args:
          part: of the list.
          embedder: of the network.
          tell: is called with the number of images that have been done since.
        """
        paths = part.images["path"]
        refused: dict[int, str] = {}
        vectors = np.empty((len(paths), embedder.size), self.dtype)
        for batch in embedder(paths, part.images["modality"], reader(self.root)):
            vectors[batch.rows] = batch.embeddings
            refused |= batch.refused
            tell(len(batch.rows) + len(batch.refused))
        kept = [row for row in range(len(paths)) if row not in refused]
        images = {name: [column[row] for row in kept] for name, column in part.images.items()}
        why = [{"path": paths[row], "reason": refused[row]} for row in sorted(refused)]
        write_part(part.file, images, vectors[kept], {**self._about(part), "refused": why})

    def embed_on_node(self, part: Part) -> int:
        """:meth:`embed` in a process that keeps the network; gives the number of images."""
        self.embed(part, _embedder(self.checkpoint, self.weights, self.network), lambda _: None)
        return len(part.images["path"])

    def _about(self, part: Part) -> dict[str, Any]:
        listed = hashlib.sha256(json.dumps(part.images).encode()).hexdigest()
        return {"network": self.network, "dtype": self.dtype, "images": listed}


@functools.lru_cache(maxsize=1)
def _embedder(checkpoint: str, weights: str, network: str) -> FileEmbedder:
    model = load_network(checkpoint, weights)
    if network_digest(model) != network:
        raise BadInput(f"{checkpoint} is another network here. Copy it here, and rerun.")
    return FileEmbedder(model)


def embed_images(
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
    if folder.suffix != SUFFIX or dtype not in DTYPES:
        raise BadInput(
            f"output={os.fspath(output)!r} must be the name of a folder that ends with {SUFFIX}, "
            f"and dtype={dtype!r} one of {', '.join(DTYPES)}."
        )
    root, table = list_images(os.fspath(images))
    checkpoint = str(model.checkpoint.path.absolute())
    job = Job(checkpoint, model.weights, network_digest(model), root, dtype)
    model.check_trained_on(*table["modality"].unique().to_pylist())
    numbers = range(-(-len(table) // part_images))

    def part(number: int) -> Part:
        rows = table.slice(number * part_images, part_images)
        return Part(part_file(folder, number), rows.to_pydict())

    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", str(folder)):
        if others := {*folder.glob(part_file(folder, 0).name.replace("00000", "*"))} - {
            part_file(folder, number) for number in numbers
        }:
            raise BadInput(f"{min(others)} is of other images. Give another `output`.")
        left = [number for number in numbers if not job.is_done(part(number))]
        done = len(table) - sum(table.slice(n * part_images, part_images).num_rows for n in left)
        with progress_bar(len(table), "image", progress, done) as bar:
            if left and nodes is not None:
                for count in nodes.each(job.embed_on_node, map(part, left)):
                    bar.update(count)
            elif left:
                embedder = FileEmbedder(model)
                for number in left:
                    job.embed(part(number), embedder, bar.update)
        about = [about_part(part_file(folder, number)) for number in numbers]
        refused = [image for one in about for image in one["refused"]]
        manifest = {
            "network": job.network,
            "model": {"checkpoint": checkpoint, "weights": model.weights},
            "dtype": dtype,
            "size": model.embedding_size,
            "images": len(table),
            "rows": len(table) - len(refused),
            "parts": len(numbers),
            "refused": refused,
        }
        write_json(folder / MANIFEST, manifest)
    return Embedded.load(Path(output))

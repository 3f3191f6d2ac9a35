"""An exported model in this process, to search with."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.extras import needing
from cmnas_tf.reading import read_json
from cmnas_tf.serving.browse.search import Embed
from cmnas_tf.serving.call_error import in_words
from cmnas_tf.serving.exported_model import BESIDE, versions_in
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.store import Store

with needing("serving"):
    from cmnas_tf.serving.development_server.loaded_version import LoadedVersion

_CARD = {"network": {"sha256": str}}


def load_embed(export_dir: str, gallery: Gallery | Store, where: str) -> Embed:
    """Loads an exported model, and gives its embeddings.

    Args:
      export_dir: the folder of all versions, of which the newest is taken, or of one.
      gallery: that is searched with it.
      where: the gallery is from.

    Raises:
      BadInput: there is no such model, or it is of another network than the gallery.
    """
    versions = versions_in(Path(export_dir))
    folder = versions[max(versions)] if versions else Path(export_dir)
    try:
        card = read_json(folder / BESIDE / "model_card.json", _CARD, "a card", "Export it again.")
        version = LoadedVersion(folder)
    except Exception as error:  # TensorFlow has many words for what is wrong with files
        raise BadInput(
            f"exports={export_dir} has no version of a model that can be loaded: "
            f"{in_words(str(error))}. Give a folder that `export_saved_model` wrote."
        ) from error
    gallery.entries.check_network(card["network"]["sha256"], where)

    def embed(images: Sequence[bytes], modalities: Sequence[str]) -> np.ndarray:
        inputs = {"image_bytes": np.array(images, object)}
        return version.predict(f"embed_{modalities[0]}", inputs)["embedding"]

    return embed

"""``python -m export.build_index``: the gallery file that ``identify`` searches in.

Adding, replacing and removing entries embeds the images concerned, and no others.
"""

from pathlib import Path

from cmnas_tf import command_line, settings
from cmnas_tf.errors import BadInput


def main(options: settings.BuildIndex) -> None:
    """Changes the gallery file, and says what it holds."""
    print(build_index(options))


def build_index(options: settings.BuildIndex) -> str:
    """Removes entries of a gallery file, then adds others; makes the file where there is none.

    Entries keep their order, a replaced one its place, and new ones follow, sorted by name. The
    file is written whole, or stays as it was.

    Args:
      options: of the command.

    Returns:
      What was changed, in a sentence.

    Raises:
      BadInput: no such trained network, a gallery of another one, an entry to remove that is not
        there, one to add that is, or an image that cannot be read.
    """
    change, checkpoint = options.change, options.checkpoint
    path = Path(change.index)
    if path.suffix != ".npz":
        raise BadInput(f"--index={change.index!r} must be a file name that ends with .npz.")
    if not (change.add or change.remove):
        raise BadInput("Nothing was to be changed: give --add=FOLDER, or --remove=NAMES, or both.")

    import numpy as np

    from cmnas_tf.serving.gallery import Gallery, entries_of
    from cmnas_tf.serving.gallery_images import embed_entries, network_digest
    from cmnas_tf.training.trained import load_trained

    trained = load_trained(checkpoint.checkpoint, options.run.run_dir, checkpoint.weights)
    digest = network_digest(trained)
    size = trained.network.head.classifier.kernel.shape[0]
    gallery = Gallery.of(digest, [], np.empty((0, size), np.float32))
    if path.exists():
        gallery = Gallery.load(path)
        gallery.check_network(digest, str(path))
    gone = gallery.matching(change.remove)
    gallery = gallery[~gone]
    added = replaced = 0
    if change.add:
        entries = entries_of(Path(change.add))
        row_of = {name: row for row, name in enumerate(gallery.names)}
        known = [row_of[entry.name] for entry in entries if entry.name in row_of]
        if known and not change.replace:
            raise BadInput(
                f"{path} has {gallery.names[known[0]]} and {len(known) - 1} more of {change.add} "
                "already. Give --replace to embed them anew, or --remove to remove them first."
            )
        found = embed_entries(trained, Path(change.add), entries, options.progress.progress)
        gallery = gallery.with_entries(found)
        replaced, added = len(known), len(entries) - len(known)
    gallery.save(path)
    return (
        f"{path}: {len(gallery)} entries of {len(set(gallery.ids))} ids; {gone.sum()} removed, "
        f"{replaced} replaced, {added} added"
    )


if __name__ == "__main__":
    command_line.run(main, settings.BuildIndex)

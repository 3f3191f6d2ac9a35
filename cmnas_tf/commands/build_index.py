"""``cmnas build_index``: the gallery that a model identifies people in."""

from dataclasses import dataclass

from cmnas_tf.commands.options_of_runs import TrainedSource
from cmnas_tf.options import Options, option, path_option
from cmnas_tf.runs.how_it_runs import Progress


@dataclass(frozen=True, kw_only=True)
class BuildIndex(Options):
    """Makes a gallery of people's images, or adds, replaces and removes entries of one.

    Only the images that are added or replaced are embedded.
    """

    gallery: str = path_option(
        "The gallery file, .npz, or a store, .lance; made when it does not exist.",
        required=True,
        old_names=("index",),
    )
    add: str = path_option(
        "Folder of images to add: {visible,infrared}/cam<camera>/<id>/*.{jpg,png,bmp}; or another "
        "gallery file or store, or embeddings, of cmnas embed."
    )
    replace: bool = option(False, "Replace entries that have the name of one to add.")
    remove: tuple[str, ...] = option(
        (), "Entries to remove, before any are added: names, or patterns such as '*/cam3/*'."
    )
    source: TrainedSource = TrainedSource()
    progress: Progress = Progress()


def main(command: BuildIndex) -> None:
    """Changes the gallery, and says what it holds."""
    from cmnas_tf.serving.build_gallery import build_gallery

    found = build_gallery(
        command.source.load(),
        command.gallery,
        command.add,
        command.replace,
        command.remove,
        command.progress.progress,
    )
    print(found)

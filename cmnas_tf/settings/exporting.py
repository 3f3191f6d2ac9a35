"""Settings of an exported model's form, and of galleries."""

from dataclasses import dataclass

from cmnas_tf.settings.group import Group, setting


@dataclass(frozen=True)
class ServedForm(Group):
    """How the exported model computes."""

    frozen: bool = setting(
        False,
        "Weights as constants of the graph: less time for an image alone, many times the memory.",
    )
    batch_images: int = setting(
        0,
        "Compute up to this many images of several requests together, inside the model, behind the "
        "decoding, so that a bad image fails its own request alone (0: each request alone).",
        minimum=0,
    )
    batch_wait_ms: float = setting(
        2.0, "How long an image may wait for others, in milliseconds.", minimum=0
    )


@dataclass(frozen=True)
class SearchedGallery(Group):
    """Who can be identified."""

    gallery: str = setting(
        "",
        "Gallery for the signature `identify`: a file of export.build_index, or a folder of images "
        "{visible,infrared}/cam<camera>/<id>/*; empty: no such signature.",
    )


@dataclass(frozen=True)
class GalleryChange(Group):
    """The gallery file and what changes in it; all other entries stay as they are."""

    index: str = setting("", "The gallery file, .npz; made when it does not exist.")
    add: str = setting(
        "", "Folder of images to add: {visible,infrared}/cam<camera>/<id>/*.{jpg,jpeg,png,bmp}."
    )
    replace: bool = setting(False, "Embed images anew that the gallery has under the same name.")
    remove: tuple[str, ...] = setting(
        (), "Entries to remove, before any are added: names, or patterns such as '*/cam3/*'."
    )


@dataclass(frozen=True)
class FaissFile(Group):
    """The index, and what it is made from."""

    index: str = setting("", "The gallery file, of export.build_index.")
    output: str = setting("", "Folder of the index; it must not exist.", shapes_result=False)
    kind: str = setting(
        "hnsw",
        "flat: exact; ivf: looks into cells next to the query; hnsw: walks a graph of neighbours.",
        choices=("flat", "ivf", "hnsw"),
    )
    effort: int = setting(
        32, "With which recall is measured: cells looked into (ivf), candidates (hnsw).", minimum=1
    )


@dataclass(frozen=True)
class ConvertedTarget(Group):
    """Where the converted networks go."""

    export_dir: str = setting("", "Folder to write; it must not exist.", shapes_result=False)
    calibration_images: int = setting(
        200, "Training images of each modality that ranges of numbers are taken from.", minimum=1
    )


@dataclass(frozen=True)
class Numbers(Group):
    """What the converted network computes in."""

    numbers: str = setting(
        "float16",
        "float16: weights of half the size; int8: whole numbers for weights and features.",
        choices=("float16", "int8"),
    )

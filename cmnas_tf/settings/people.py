"""Settings of synthetic people."""

from dataclasses import dataclass

from cmnas_tf.errors import BadInput
from cmnas_tf.settings.group import Group, setting


@dataclass(frozen=True)
class SyntheticPeople(Group):
    """Synthetic people: everything that decides the files of such a data set."""

    dataset: str = setting(
        "sysu_mm01",
        "The data set whose tree is imitated.",
        choices=("sysu_mm01", "regdb", "market1501"),
    )
    train_identities: int = setting(300, "People to train on.", minimum=2, maximum=4999)
    test_identities: int = setting(50, "Other people, to test on.", minimum=2, maximum=4999)
    images_per_camera: int = setting(
        2, "Images of every person from every camera.", minimum=1, maximum=9999
    )
    distractors: int = setting(
        10, "Market-1501: further people, in the gallery only.", minimum=0, maximum=4999
    )
    junk: int = setting(
        50, "Market-1501: badly cut images in the gallery folder.", minimum=0, maximum=9999
    )
    image_height: int = setting(64, "Height of an image, in pixels.", minimum=32, maximum=4096)
    image_width: int = setting(32, "Width of an image, in pixels.", minimum=16, maximum=4096)
    materials: int = setting(6, "Garment materials that all people share.", minimum=4, maximum=64)
    reflectance_correlation: float = setting(
        0.5,
        "Correlation of luminance with infrared reflectance over the materials; at 1 infrared is a "
        "grey-scale photograph.",
        minimum=0,
        maximum=1,
    )
    difficulty: float = setting(
        0.5,
        "0 (easy) to 1 (hard): variety of views, positions, scales, occlusion, clutter, light, "
        "blur and noise.",
        minimum=0,
        maximum=1,
    )
    seed: int = setting(0, "Seed of every random draw.", minimum=0, maximum=2**32 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dataset == "market1501" and self.images_per_camera < 2:
            raise BadInput(
                f"--images_per_camera={self.images_per_camera} leaves no gallery to market1501, "
                "where the first image from each camera is the query; it must be at least 2."
            )


@dataclass(frozen=True)
class Target(Group):
    """Where and how the files are written."""

    data_dir: str = setting(
        "", "Folder to write; it must not exist or hold this very data set.", shapes_result=False
    )
    processes: int = setting(
        0, "Processes that draw at the same time; 0: one per core.", minimum=0, shapes_result=False
    )
    contact_sheet: str = setting(
        "", "Also write a picture of some people as this PNG file.", shapes_result=False
    )
    progress: bool = setting(True, "Show a progress bar.", shapes_result=False)

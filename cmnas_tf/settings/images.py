"""Settings of images: which, in what form, in what batches, tested how."""

from dataclasses import dataclass

from cmnas_tf.settings.group import Group, setting


@dataclass(frozen=True)
class Data(Group):
    """Which images."""

    data_dir: str = setting(
        "", "Folder of the data set, laid out as its authors deliver it.", shapes_result=False
    )
    dataset: str = setting(
        "sysu_mm01",
        "Layout of the data set; images of your own: listed in images.csv, or in folders.",
        choices=(
            "sysu_mm01",
            "regdb",
            "llcm",
            "market1501",
            "cuhk03_np_detected",
            "cuhk03_np_labeled",
            "msmt17",
            "own_images",
            "own_folders",
        ),
    )
    trial: int = setting(1, "Trial of a data set with several splits (RegDB).", minimum=1)
    skip_unreadable: bool = setting(
        False, "Leave out and count images that cannot be decoded, instead of stopping."
    )


@dataclass(frozen=True)
class Input(Group):
    """The form in which an image enters the network."""

    image_height: int = setting(256, "Height of the network's input, in pixels. [code]", minimum=16)
    image_width: int = setting(128, "Width of the network's input, in pixels. [code]", minimum=8)


@dataclass(frozen=True)
class Batch(Group):
    """A batch: P identities, K images of each, per modality; over all devices together."""

    identities_per_batch: int = setting(16, "P, identities in a batch. [code]", minimum=2)
    images_per_identity: int = setting(
        4, "K, images of each identity in each modality. [code]", minimum=1
    )

    @property
    def rows(self) -> int:
        """Rows of one modality, P x K."""
        return self.identities_per_batch * self.images_per_identity


@dataclass(frozen=True)
class Pipeline(Group):
    """How images reach the training step."""

    pad: int = setting(10, "Zero padding before the random crop, in pixels. [code]", minimum=0)
    flip_probability: float = setting(
        0.5, "Probability of a horizontal flip. [code]", minimum=0, maximum=1
    )
    erase_probability: float = setting(
        0.5, "Probability of erasing a rectangle. [code]", minimum=0, maximum=1
    )
    cache: str = setting(
        "none",
        "What to keep in memory: nothing, the files' bytes, or decoded pixels.",
        choices=("none", "encoded", "decoded"),
        shapes_result=False,
    )


@dataclass(frozen=True)
class Protocol(Group):
    """How a network is measured."""

    mode: str = setting(
        "all", "SYSU-MM01 gallery: all cameras or the indoor ones.", choices=("all", "indoor")
    )
    shots: int = setting(1, "SYSU-MM01 gallery images per identity and camera.", choices=(1, 10))
    trials: int = setting(10, "SYSU-MM01, LLCM: galleries to average over.", minimum=1, maximum=10)
    gallery_sampling: str = setting(
        "seeded",
        "SYSU-MM01 gallery: as the AGW and CM-NAS code draws it, or the official permutation.",
        choices=("seeded", "official"),
    )
    direction: str = setting(
        "both",
        "RegDB, LLCM: which modality asks for which.",
        choices=("both", "visible_to_infrared", "infrared_to_visible"),
    )
    embed_batch: int = setting(
        64, "Images that are embedded at a time.", minimum=1, shapes_result=False
    )

"""Settings of images: which, in what form, in what batches, tested how."""

from dataclasses import dataclass

from cmnas_tf.errors import BadInput
from cmnas_tf.settings.group import Group, setting


@dataclass(frozen=True)
class DataFolder(Group):
    """Which images."""

    data_dir: str = setting(
        "",
        "Folder of the data set, laid out as its authors deliver it, or of its shards.",
        shapes_result=False,
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


@dataclass(frozen=True)
class Data(DataFolder):
    """Which images."""

    skip_unreadable: bool = setting(
        False, "Leave out and count images that cannot be decoded, instead of stopping."
    )


@dataclass(frozen=True)
class Preparation(Group):
    """What is looked at, and what is written."""

    all_trials: bool = setting(
        False, "Look at every trial of the data set (RegDB), not at --trial alone."
    )
    shards_dir: str = setting(
        "",
        "Write the images and lists as TFRecord shards to this folder, which must not exist.",
        shapes_result=False,
    )
    shard_megabytes: int = setting(
        128, "Size that no shard of several images exceeds, in megabytes (10^6 bytes).", minimum=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.all_trials and self.shards_dir:
            raise BadInput(
                f"--shards_dir={self.shards_dir} takes one trial, and --all_trials means several; "
                "give --trial in the place of --all_trials."
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
    channel_exchange_probability: float = setting(
        0.0,
        "Probability that one of R, G, B of a visible image takes the place of all three "
        "(Ye et al., ICCV 2021).",
        minimum=0,
        maximum=1,
    )
    greyscale_probability: float = setting(
        0.0,
        "Probability that a visible image becomes its luminance instead (Ye et al., ICCV 2021).",
        minimum=0,
        maximum=1,
    )
    cache: str = setting(
        "none",
        "What to keep in memory: nothing, the files' bytes, or decoded pixels.",
        choices=("none", "encoded", "decoded"),
        shapes_result=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channel_exchange_probability + self.greyscale_probability > 1:
            raise BadInput(
                f"--channel_exchange_probability={self.channel_exchange_probability} and "
                f"--greyscale_probability={self.greyscale_probability} add up to more than 1, and "
                "no image gets both; lower one of them."
            )


@dataclass(frozen=True)
class Direction(Group):
    """Who asks, in the test protocols."""

    direction: str = setting(
        "both",
        "RegDB, LLCM: which modality asks for which.",
        choices=("both", "visible_to_infrared", "infrared_to_visible"),
    )


@dataclass(frozen=True)
class Protocol(Direction):
    """The test protocols."""

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


@dataclass(frozen=True)
class Matching(Group):
    """How images are compared, whatever the protocol."""

    embed_batch: int = setting(
        64, "Images that are embedded at a time.", minimum=1, shapes_result=False
    )
    flip_average: bool = setting(
        False, "Average the embeddings of each image and of its mirror image."
    )
    rerank: bool = setting(
        False,
        "Rank by k-reciprocal re-ranked distances (Zhong et al., CVPR 2017); memory grows with the "
        "square of the number of images.",
    )
    rerank_k1: int = setting(
        20,
        "Re-ranking: size of the neighbourhood that describes an image; where people have fewer "
        "images than that, a smaller one does better. [pub]",
        minimum=1,
    )
    rerank_k2: int = setting(
        6, "Re-ranking: nearest images whose descriptions are averaged. [pub]", minimum=1
    )
    rerank_lambda: float = setting(
        0.3, "Re-ranking: part of the original distance in the result. [pub]", minimum=0, maximum=1
    )
    rerank_distance: str = setting(
        "squared_euclidean",
        "Re-ranking: the original distance. `squared_euclidean` is the paper's, and the one for a "
        "good result. `squared_dot_product` is what published programs come to that hand dot "
        "products to the released code: images that are alike count as far apart there, so take it "
        "only to compare with such programs.",
        choices=("squared_euclidean", "squared_dot_product"),
    )


@dataclass(frozen=True)
class Splits(Group):
    """Which of the data set's own splits into training and test images."""

    trials: str = setting(
        "all", "Trials to do and to sum up: all, or numbers and ranges such as 1-3,7."
    )

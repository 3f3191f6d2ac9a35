"""Synthetic people as few and as small as a test can use, and the flags of networks for them."""

from pathlib import Path

from cmnas_tf.architecture import ResNetPlan
from cmnas_tf.data.synthetic import write_dataset
from cmnas_tf.data.synthetic_plan import SyntheticPeople

TINY = (
    "--backbone=resnet18",
    "--width=0.0625",
    "--image_height=32",
    "--image_width=16",
    "--identities_per_batch=4",
    "--images_per_identity=2",
    "--pad=2",
    "--noprogress",
)
# A package beside the installed ones, whose backbone processes can name that are given its folder.
PLUGIN = Path(__file__).parent / "plugin"
TINIEST = ("--backbone=tiny_resnet", *TINY[1:])
# What the fixture ``one_block`` leaves of ResNet-18.
ONE_BLOCK = ResNetPlan((1, 0, 0, 0), bottleneck=False)


def write_people(folder: Path, **changes) -> Path:
    """SYSU-MM01 with 8 + 4 people of 32x16 pixels, two images from each camera.

    Args:
      folder: to write.
      changes: fields of ``SyntheticPeople`` that are to be otherwise.
    """
    few = {"train_identities": 8, "test_identities": 4, "images_per_camera": 2}
    people = SyntheticPeople(**{**few, "image_height": 32, "image_width": 16, **changes})
    write_dataset(people, folder, processes=1)
    return folder

"""What the options of the input and of its augmentation may be."""

import pytest

from cmnas_tf.data.augmentation import Augmentation, ImageSize
from cmnas_tf.errors import BadInput


def test_no_image_gets_both_kinds_of_colours():
    assert Augmentation(channel_exchange_probability=0.6, greyscale_probability=0.4)
    with pytest.raises(
        BadInput, match=r"^channel_exchange_probability=0.6, greyscale_prob.*=0.5 and channel_m.*"
    ):
        Augmentation(channel_exchange_probability=0.6, greyscale_probability=0.5)


@pytest.mark.parametrize(
    ("component", "options", "message"),
    [
        (Augmentation, {"pad": -1}, "pad=-1 .* at least 0"),
        (Augmentation, {"flip_probability": 1.5}, "flip_probability=1.5 .* between 0 and 1"),
        (Augmentation, {"erase_probability": float("nan")}, "erase_probability=nan must be finite"),
        (ImageSize, {"image_height": 15}, "image_height=15 .* at least 16"),
        (ImageSize, {"image_width": 7}, "image_width=7 .* at least 8"),
    ],
)
def test_values_that_are_not_allowed(component, options, message):
    with pytest.raises(BadInput, match=message):
        component(**options)

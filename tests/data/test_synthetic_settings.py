import pytest

from cmnas_tf.data.synthetic_settings import SyntheticPeople, stream
from cmnas_tf.errors import BadInput


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layout", "market"),
        ("train_identities", 0),
        ("test_identities", 0),
        ("test_identities", 5000),
        ("images_per_camera", 0),
        ("height", 31),
        ("width", 15),
        ("materials", 3),
        ("reflectance_correlation", 1.01),
        ("difficulty", 2),
        ("difficulty", float("nan")),
        ("seed", -1),
    ],
)
def test_a_bad_setting_is_named_with_its_value(name, value):
    with pytest.raises(BadInput, match=f"{name}.*Received: '?{value}"):
        SyntheticPeople(**{name: value})


def test_counts_follow_from_the_layout():
    """SYSU-MM01: 6 cameras x 5 people x 4 images = 120; RegDB: 2 x 5 x 4 = 40."""
    counts = dict(train_identities=3, test_identities=2, images_per_camera=4)
    sysu = SyntheticPeople(**counts)
    assert list(sysu.pids) == [1, 2, 3, 4, 5]
    assert sysu.images == 120
    assert SyntheticPeople(layout="regdb", **counts).images == 40


def test_streams_differ_by_seed_name_and_numbers():
    first = stream(1, "person", 2).random()
    assert stream(1, "person", 2).random() == first
    others = [stream(2, "person", 2), stream(1, "camera", 2), stream(1, "person", 3)]
    assert first not in [other.random() for other in others]

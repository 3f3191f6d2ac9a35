import pytest

from cmnas_tf.data.synthetic_plan import SyntheticPeople
from cmnas_tf.errors import BadInput


def test_counts_follow_from_the_layout():
    """SYSU-MM01: 6 cameras x 5 people x 4 images = 120; RegDB: 2 x 5 x 4 = 40."""
    counts = dict(train_identities=3, test_identities=2, images_per_camera=4)
    sysu = SyntheticPeople(**counts)
    assert list(sysu.pids) == [1, 2, 3, 4, 5]
    assert sysu.image_count == 120
    assert SyntheticPeople(dataset="regdb", **counts).image_count == 40


def test_distractors_and_junk_are_for_market1501_alone():
    """Six cameras x (5 people + 2 distractors) x 4 images + 7 junk images = 175."""
    counts = dict(train_identities=3, test_identities=2, images_per_camera=4)
    market = SyntheticPeople(dataset="market1501", distractors=2, junk=7, **counts)
    assert list(market.pids) == [1, 2, 3, 4, 5]
    assert list(market.everybody) == [1, 2, 3, 4, 5, 6, 7]
    assert market.image_count == 175
    sysu = SyntheticPeople(dataset="sysu_mm01", distractors=2, junk=7, **counts)
    assert (sysu.everybody, sysu.image_count) == (sysu.pids, 120)


def test_junk_goes_round_the_people_to_test_on_and_the_cameras():
    """Eight junk images, two people: the first gets numbers 0, 2, 4, 6 and with them every other
    camera; their frames follow on the two of the camera."""
    market = SyntheticPeople(
        dataset="market1501", train_identities=3, test_identities=2, images_per_camera=2, junk=8
    )
    ordinary = [(camera, frame) for camera in range(1, 7) for frame in (1, 2)]
    assert market.views(3) == ordinary
    assert market.views(4) == [*ordinary, (1, 3), (3, 5), (5, 7), (1, 9)]
    assert market.views(5) == [*ordinary, (2, 4), (4, 6), (6, 8), (2, 10)]
    assert market.views(6) == ordinary


def test_market1501_needs_images_for_the_gallery():
    with pytest.raises(BadInput, match=r"^images_per_camera=1 leaves no gallery to market1501"):
        SyntheticPeople(dataset="market1501", images_per_camera=1)


def test_streams_differ_by_seed_name_and_numbers():
    one, other = SyntheticPeople(seed=1), SyntheticPeople(seed=2)
    first = one.stream("person", 2).random()
    assert one.stream("person", 2).random() == first
    others = [other.stream("person", 2), one.stream("camera", 2), one.stream("person", 3)]
    assert first not in [other.random() for other in others]

from cmnas_tf.data.synthetic_plan import images_of, pids_of, stream
from cmnas_tf.settings import SyntheticPeople


def test_counts_follow_from_the_layout():
    """SYSU-MM01: 6 cameras x 5 people x 4 images = 120; RegDB: 2 x 5 x 4 = 40."""
    counts = dict(train_identities=3, test_identities=2, images_per_camera=4)
    sysu = SyntheticPeople(**counts)
    assert list(pids_of(sysu)) == [1, 2, 3, 4, 5]
    assert images_of(sysu) == 120
    assert images_of(SyntheticPeople(dataset="regdb", **counts)) == 40


def test_streams_differ_by_seed_name_and_numbers():
    first = stream(1, "person", 2).random()
    assert stream(1, "person", 2).random() == first
    others = [stream(2, "person", 2), stream(1, "camera", 2), stream(1, "person", 3)]
    assert first not in [other.random() for other in others]

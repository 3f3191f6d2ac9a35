"""DukeMTMC-reID as it lies on disk, in trees of empty files, and apart from Market-1501."""

import pytest

from cmnas_tf.data import LAYOUTS, layout_in, load_dataset
from cmnas_tf.data.index import Count
from cmnas_tf.errors import BadInput

DUKE = (
    "bounding_box_train/0001_c2_f0046182.jpg",
    "bounding_box_train/0001_c5_f0051341.jpg",
    "bounding_box_train/0007_c8_f0109361.jpg",
    "query/0005_c2_f0046985.jpg",
    "bounding_box_test/0005_c5_f0052865.jpg",
    "bounding_box_test/7139_c1_f0165309.jpg",
)
MARKET = (
    "bounding_box_train/0002_c1s1_000451_03.jpg",
    "query/0001_c1s1_001051_00.jpg",
    "bounding_box_test/0001_c2s1_000301_00.jpg",
)


@pytest.fixture
def make(tmp_path):
    """Makes a tree of empty files."""

    def make(files):
        for path in files:
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).touch()
        return tmp_path

    return make


def test_folders_say_who_is_trained_on_asks_and_answers(make):
    """Somebody whom nobody asks for, 7139, has an identity of their own."""
    dataset = load_dataset("dukemtmc_reid", make(DUKE))
    assert dataset.counts() == {
        "train visible": Count(3, 2),
        "query visible": Count(1, 1),
        "gallery visible": Count(2, 2),
    }
    assert dataset.train.cameras.tolist() == [2, 5, 8]
    assert dataset.test.pids.tolist() == [5, 7139, 5]
    assert (dataset.layout, dataset.modalities, dataset.notes) == (
        "dukemtmc_reid",
        ("visible",),
        (),
    )


def test_a_query_is_searched_for_in_the_whole_gallery(make):
    dataset = load_dataset("dukemtmc_reid", make(DUKE))
    (trial,) = LAYOUTS["dukemtmc_reid"].protocol().trials_of(dataset)
    assert trial.query.paths.tolist() == ["query/0005_c2_f0046985.jpg"]
    assert trial.gallery.pids.tolist() == [5, 7139]
    assert (trial.rule, trial.setting) == ("market", "single_query")


def test_it_is_not_read_as_market1501(make):
    """The folders are the same; the names of the files tell."""
    with pytest.raises(
        BadInput, match="looks like dukemtmc_reid, not like market1501: it has boun"
    ):
        load_dataset("market1501", make(DUKE))


def test_market1501_is_not_read_as_it(make):
    with pytest.raises(
        BadInput, match="looks like market1501, not like dukemtmc_reid: it has no b"
    ):
        load_dataset("dukemtmc_reid", make(MARKET))


def test_another_layout_is_told_which_of_the_two_it_is(make):
    with pytest.raises(BadInput, match="looks like dukemtmc_reid, not like sysu_mm01"):
        load_dataset("sysu_mm01", make(DUKE))


def test_market1501_is_read_as_itself(make):
    assert load_dataset("market1501", make(MARKET)).layout == "market1501"


def test_a_folder_without_images_is_named(make):
    root = make(DUKE)
    (root / "query" / "0005_c2_f0046985.jpg").unlink()
    with pytest.raises(BadInput, match=r"query holds no image.*(?s:.*)PPPP_cC_fFFFFFFF"):
        load_dataset("dukemtmc_reid", root)


def test_published_counts_add_up():
    """To the 36,411 images of 1,404 people and 408 distractors of the whole data set."""
    train, query, gallery = LAYOUTS["dukemtmc_reid"].published.values()
    assert train.images + query.images + gallery.images == 36411
    assert train.identities + gallery.identities == 1404 + 408
    assert gallery.identities - query.identities == 408


def test_images_may_have_other_suffixes(make):
    """And are told from those of Market-1501 all the same; junk is left out here, too."""
    root = make([path.replace(".jpg", ".JPEG") for path in DUKE])
    (root / "bounding_box_test" / "-1_c1_f0000001.jpg").touch()
    assert layout_in(root) == "dukemtmc_reid"
    assert load_dataset("dukemtmc_reid", root).counts()["gallery visible"] == Count(2, 2)

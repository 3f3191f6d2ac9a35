"""Data sets by name: what a registration must have, and that nothing heavy is imported for one."""

import dataclasses
import subprocess
import sys

import pytest

from cmnas_tf.data import LAYOUTS, Dataset, Image, Images, Layout, load_dataset, register_dataset
from cmnas_tf.data.protocols import SingleQuery
from cmnas_tf.errors import BadInput

ROWS = [Image("a.jpg", 3, 1, "visible", "query"), Image("b.jpg", 3, 2, "visible", "gallery")]
TINY = Layout(
    title="A tiny data set",
    load=lambda root, trial: Dataset("tiny", root, Images.of([]), Images.of(ROWS), ("a note",)),
    tree="a.jpg, b.jpg",
    marks=("?.jpg",),
    protocol=SingleQuery,
)


@pytest.fixture
def tiny(tmp_path, registered):
    """The folder of a data set that is registered as ``tiny``."""
    for image in ROWS:
        (tmp_path / image.path).touch()
    registered("tiny", TINY)
    return tmp_path


def test_a_data_set_of_another_package_is_loaded_by_its_name(tiny, caplog):
    """What its loader noticed is logged."""
    with caplog.at_level("INFO", "cmnas_tf"):
        dataset = load_dataset("tiny", tiny)
    assert caplog.messages == ["a note"]
    assert (dataset.layout, len(dataset.test)) == ("tiny", 2)
    (trial,) = LAYOUTS["tiny"].protocol().trials_of(dataset)
    assert trial.query.paths.tolist() == ["a.jpg"]


def test_a_folder_of_it_is_told_from_others(tiny):
    with pytest.raises(BadInput, match=r"looks like tiny, not like msmt17: it has no list_train"):
        load_dataset("msmt17", tiny)


def test_the_special_case_of_a_layout_is_told_from_it(tiny, registered):
    """In both directions, and it is what a third one is told. Its folder has what that of ``tiny``
    has, and ``list.txt``."""
    registered("special", dataclasses.replace(TINY, marks=(*TINY.marks, "list.txt")))
    load_dataset("tiny", tiny)
    with pytest.raises(BadInput, match=r"looks like tiny, not like special: it has no list\.txt"):
        load_dataset("special", tiny)
    (tiny / "list.txt").touch()
    load_dataset("special", tiny)
    with pytest.raises(BadInput, match=r"like special, not like tiny: it has list\.txt\. Read it"):
        load_dataset("tiny", tiny)
    with pytest.raises(BadInput, match=r"looks like special, not like msmt17"):
        load_dataset("msmt17", tiny)


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ({"load": None}, "without load; see"),
        ({"marks": ()}, "without marks; see"),
        ({"protocol": None}, "without protocol; see"),
        ({"protocol": SingleQuery()}, "without protocol; see"),
        ({"marks": (), "protocol": str}, "without marks and protocol; see"),
    ],
)
def test_an_incomplete_registration_is_refused(lacking, message):
    with pytest.raises(BadInput, match=f"data set 'tiny' cannot be registered {message}"):
        register_dataset("tiny", dataclasses.replace(TINY, **lacking))
    assert "tiny" not in LAYOUTS


def test_a_name_is_taken_once():
    with pytest.raises(BadInput, match="There is a data set 'regdb' already"):
        register_dataset("regdb", TINY)


def test_data_sets_and_options_are_listed_without_heavy_imports():
    """So that the help of a command comes at once."""
    program = """
import sys
import cmnas_tf.data.augmentation, cmnas_tf.data.sampling, cmnas_tf.data.synthetic_plan
from cmnas_tf.data import LAYOUTS
print(*(known.name for layout in LAYOUTS.values() for known in layout.protocol.options()))
print(*({"tensorflow", "scipy", "cv2", "PIL"} & set(sys.modules)))
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    options, heavy = found.stdout.splitlines()
    assert "gallery_sampling" in options
    assert heavy == ""

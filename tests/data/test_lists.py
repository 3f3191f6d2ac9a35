"""Lists of images: lines in, matches out, and what is said of a bad line."""

import pytest

from cmnas_tf.data.lists import read_identities, read_lists
from cmnas_tf.errors import BadInput

LISTS = [
    ("day.txt", "vis/<identity>/<word>_c<camera>_<file>", "by day"),
    ("night.txt", "nir/<identity>/<file>", "at night"),
]


def read(root, day, night="nir/7/a_b.jpg 0\n"):
    (root / "day.txt").write_text(day)
    (root / "night.txt").write_text(night)
    return [(when, match.groupdict()) for when, match in read_lists(root, LISTS, "the tree")]


def test_a_line_gives_path_identity_and_camera(tmp_path):
    """A file name may hold blanks and underscores; the camera is where the form has it."""
    day = "vis/0007/0007_c03_s1_c9 x.jpg 0\nvis/12/12_c4_.jpg  11 \n"
    assert read(tmp_path, day, "nir/0007/a_b.jpg 0\n") == [
        (
            "by day",
            {
                "path": "vis/0007/0007_c03_s1_c9 x.jpg",
                "identity": "0007",
                "camera": "03",
                "label": "0",
            },
        ),
        ("by day", {"path": "vis/12/12_c4_.jpg", "identity": "12", "camera": "4", "label": "11"}),
        ("at night", {"path": "nir/0007/a_b.jpg", "identity": "0007", "label": "0"}),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "vis/7/7_c3_a.jpg",
        "vis/7/7_c3_a.jpg seven",
        "vis/7/7_cx_a.jpg 0",
        "vis/7/7_8_c3_a.jpg 0",
        "vis/seven/7_c3_a.jpg 0",
        "nir/7/7_c3_a.jpg 0",
        "vis/7/8/7_c3_a.jpg 0",
        "../vis/7/7_c3_b.jpg 0",
    ],
)
def test_a_line_of_another_form_is_refused(tmp_path, line):
    message = r"day\.txt, line 2, must read 'vis/<identity>/<word>_c<camera>_<file> <label>'"
    with pytest.raises(BadInput, match=message) as caught:
        read(tmp_path, f"vis/7/7_c3_a.jpg 0\n{line}\n")
    assert repr(line) in str(caught.value)


@pytest.mark.parametrize(
    ("line", "now", "before"),
    [
        ("nir/8/b.jpg 0", "identity 8 the label 0", "identity 7 the label 0"),
        ("nir/7/b.jpg 1", "identity 7 the label 1", "identity 7 the label 0"),
        ("nir/9/b.jpg 0", "identity 9 the label 0", "identity 7 the label 0"),
    ],
)
def test_identities_and_labels_are_the_same_in_all_lists(tmp_path, line, now, before):
    """The first list gives identity 7 the label 0 and identity 9 the label 5."""
    day = "vis/7/7_c3_a.jpg 0\nvis/9/9_c3_a.jpg 5\n"
    message = rf"night\.txt, line 1, gives {now}, but a line before gives {before}"
    with pytest.raises(BadInput, match=message):
        read(tmp_path, day, line)


def test_a_missing_or_empty_list_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"day\.txt is missing.*:\nthe tree"):
        list(read_lists(tmp_path, LISTS, "the tree"))
    with pytest.raises(BadInput, match=r"night\.txt lists no image"):
        read(tmp_path, "vis/7/7_c3_a.jpg 0\n", "")


def test_a_list_that_is_not_text_is_named(tmp_path):
    (tmp_path / "day.txt").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(BadInput, match=r"day\.txt, line 1, must read"):
        list(read_lists(tmp_path, LISTS, "the tree"))


def test_an_image_stands_once_in_lists_that_belong_together(tmp_path):
    """However its path is written."""
    day = "vis/7/7_c3_a.jpg 0\nvis/7/7_c3_b.jpg 0\nvis/8/../7/7_c3_a.jpg 0\n"
    message = r"day\.txt, line 3, lists vis/7/7_c3_a\.jpg again, after .*day\.txt, line 1\. Remove"
    with pytest.raises(BadInput, match=message):
        read(tmp_path, day)


def test_a_list_may_be_as_an_editor_saves_it(tmp_path):
    """Byte order mark, CR LF, a leading ./, blank lines at the end."""
    (tmp_path / "day.txt").write_bytes(b"\xef\xbb\xbf./vis/7/7_c3_a.jpg 0\r\n\r\n \r\n")
    (tmp_path / "night.txt").write_text("nir/7/a.jpg 0\n\n")
    found = [match["path"] for _, match in read_lists(tmp_path, LISTS, "the tree")]
    assert found == ["vis/7/7_c3_a.jpg", "nir/7/a.jpg"]
    (tmp_path / "ids.txt").write_bytes(b"\xef\xbb\xbf3,4\r\n\r\n")
    assert read_identities(tmp_path / "ids.txt") == {3, 4}


def test_a_list_of_blank_lines_is_empty(tmp_path):
    with pytest.raises(BadInput, match=r"day\.txt lists no image"):
        read(tmp_path, "\n \n")

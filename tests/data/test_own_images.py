"""Images of one's own: a table or folders, in trees of empty files."""

import pytest

from cmnas_tf.data import load_dataset
from cmnas_tf.errors import BadInput

TABLE = """\
path,pid,camera,modality,split
shots/b.jpg,7,1,rgb,train
shots/a.png,7,2,Thermal,train
q.jpg,12,3,visible,query
c.bmp,12,4,nir,gallery
d.bmp,12,3,IR,gallery
"""
IMAGES = ("shots/a.png", "shots/b.jpg", "q.jpg", "c.bmp", "d.bmp")


@pytest.fixture
def table(tmp_path):
    """The folder of a data set with a table."""
    (tmp_path / "shots").mkdir()
    for path in IMAGES:
        (tmp_path / path).touch()
    (tmp_path / "images.csv").write_text(TABLE)
    return tmp_path


def rows(images):
    columns = (images.paths, images.pids, images.cameras, images.modalities, images.roles)
    return list(zip(*columns, strict=True))


TRAIN = [
    ("shots/a.png", 7, 2, "infrared", ""),
    ("shots/b.jpg", 7, 1, "visible", ""),
]
TEST = [
    ("c.bmp", 12, 4, "infrared", "gallery"),
    ("d.bmp", 12, 3, "infrared", "gallery"),
    ("q.jpg", 12, 3, "visible", "query"),
]


def test_a_table_says_everything(table):
    """Modalities have their names, whatever word the table has for them; images are sorted."""
    dataset = load_dataset("own_images", table)
    assert (dataset.layout, dataset.root) == ("own_images", table)
    assert dataset.modalities == ("visible", "infrared")
    assert (rows(dataset.train), rows(dataset.test)) == (TRAIN, TEST)


def test_columns_may_stand_in_any_order_among_others(table):
    """As a spreadsheet writes it: byte order mark, CR LF, blanks, quotes, an empty line."""
    lines = [line.split(",") for line in TABLE.splitlines()]
    mixed = [f'{s}, "{m}", a note,{c} ,{path}, {pid}' for path, pid, c, m, s in lines]
    mixed = [mixed[0].replace("camera ", "camera"), "", *mixed[1:]]
    (table / "images.csv").write_bytes(("\ufeff" + "\r\n".join(mixed)).encode())
    dataset = load_dataset("own_images", table)
    assert (rows(dataset.train), rows(dataset.test)) == (TRAIN, TEST)


def test_a_path_may_be_absolute(table, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "e.jpg"
    elsewhere.touch()
    with (table / "images.csv").open("a") as file:
        file.write(f"{elsewhere},12,5,visible,gallery\n")
    assert rows(load_dataset("own_images", table).test)[0] == (
        str(elsewhere),
        12,
        5,
        "visible",
        "gallery",
    )


def test_a_data_set_may_be_for_testing_alone(table):
    lines = TABLE.splitlines()
    (table / "images.csv").write_text("\n".join([lines[0], *lines[3:]]))
    dataset = load_dataset("own_images", table)
    assert len(dataset.train) == 0
    assert rows(dataset.test) == TEST


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("e.jpg,12,3,visible,query", "line 7: there is no file .*e.jpg. Paths start from"),
        (",12,3,visible,query", "line 7: there is no file"),
        ("q.jpg,12,3,depth,query", "line 7: modality must be one of visible, rgb.*'depth'"),
        ("q.jpg,12,3,visible,val", "line 7: split must be one of train, query, gallery.*'val'"),
        ("q.jpg,_,3,visible,query", "line 7: pid must be a whole number from 0.*or a name.*'_'"),
        ("q.jpg,1.5,3,visible,query", "line 7: pid must be a whole number from 0.*'1.5'"),
        ("q.jpg,-1,3,visible,query", "line 7: pid must be a whole number from 0.*'-1'"),
        (f"q.jpg,{10**18},3,visible,query", "line 7: pid must be .* 18 digits at most.*'10000"),
        ("q.jpg,12,,visible,query", "line 7: camera must be a whole number from 0.*''"),
        ("q.jpg,12,3", "line 7: split must be one of .*''"),
        (
            "./q.jpg,12,3,visible,query",
            r"line 7 describes q\.jpg again, after .*images\.csv, line 4",
        ),
        ("shots/../q.jpg,12,3,visible,query", r"line 7 describes .*q\.jpg again, after .*line 4"),
    ],
)
def test_bad_lines_are_named(table, line, message):
    with (table / "images.csv").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(BadInput, match=rf"images\.csv, {message}"):
        load_dataset("own_images", table)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1, has no column path, pid, camera, modality, split"),
        (
            b"path,pid,split\n",
            "line 1, has no column camera, modality. .*Received: 'path,pid,split'",
        ),
        (TABLE.replace(",", ";").encode(), "no column path.*Received: 'path;pid;camera;"),
        (b"path,pid,camera,modality,split\n\xff\xfe", "is not UTF-8 text with commas"),
        (b"path,pid,camera,modality,split\nq.jpg,12,3,visible,query\n", "no image for gallery"),
    ],
)
def test_bad_tables(table, content, message):
    (table / "images.csv").write_bytes(content)
    with pytest.raises(BadInput, match=message):
        load_dataset("own_images", table)


@pytest.fixture
def folders(tmp_path):
    """The same data set in folders."""
    for path in (
        "train/rgb/cam1/0007/b.jpg",
        "train/infrared/cam2/0007/a.PNG",
        "query/visible/cam3/12/q.jpg",
        "gallery/nir/cam4/12/c.bmp",
        "gallery/nir/cam3/12/d.jpeg",
        "gallery/nir/cam3/12/notes.txt",
        "gallery/nir/cam3/12/._d.jpeg",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    return tmp_path


def test_folders_say_everything(folders):
    dataset = load_dataset("own_folders", folders)
    assert dataset.layout == "own_folders"
    assert rows(dataset.train) == [
        ("train/infrared/cam2/0007/a.PNG", 7, 2, "infrared", ""),
        ("train/rgb/cam1/0007/b.jpg", 7, 1, "visible", ""),
    ]
    assert rows(dataset.test) == [
        ("gallery/nir/cam3/12/d.jpeg", 12, 3, "infrared", "gallery"),
        ("gallery/nir/cam4/12/c.bmp", 12, 4, "infrared", "gallery"),
        ("query/visible/cam3/12/q.jpg", 12, 3, "visible", "query"),
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("train/visible/0007/b.jpg", "does not lie where it should:\n{train,query,gallery}/"),
        ("train/visible/cam1/0007/x/b.jpg", "does not lie where it should"),
        ("train/visible/3/0007/b.jpg", "does not lie where it should"),
        ("train/visible/camx/0007/b.jpg", "b.jpg: camera must be a whole number from 0.*'x'"),
        ("train/visible/cam1/-1/b.jpg", "b.jpg: pid must be a whole number from 0.*'-1'"),
        ("train/depth/cam1/0007/b.jpg", "b.jpg: modality must be one of .*'depth'"),
    ],
)
def test_images_in_wrong_places_are_named(folders, path, message):
    (folders / path).parent.mkdir(parents=True)
    (folders / path).touch()
    with pytest.raises(BadInput, match=message) as caught:
        load_dataset("own_folders", folders)
    assert path in str(caught.value)


def test_there_must_be_something_to_test_with(folders):
    (folders / "query/visible/cam3/12/q.jpg").unlink()
    with pytest.raises(BadInput, match="no image for query, so nothing could be tested"):
        load_dataset("own_folders", folders)


def test_nobody_is_trained_on_and_tested_with(table):
    with (table / "images.csv").open("a") as file:
        file.write("e.jpg,7,3,visible,query\n")
    (table / "e.jpg").touch()
    with pytest.raises(BadInput, match=r"1 identities .*for training and for testing.*\[7\]"):
        load_dataset("own_images", table)

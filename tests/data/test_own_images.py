"""Images of one's own: a table or folders, in trees of empty files."""

import pytest

from cmnas_tf.data import load_dataset
from cmnas_tf.data.findings import sentences
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
        ("new.jpg,12,3,depth,query", "line 7: modality must be one of visible, rgb.*'depth'"),
        ("new.jpg,12,3,visible,val", "line 7: split must be one of train, query, gallery.*'val'"),
        ("new.jpg,_,3,visible,query", "line 7: pid must be a whole number from 0.*or a name.*'_'"),
        ("new.jpg,1.5,3,visible,query", "line 7: pid must be a whole number from 0.*'1.5'"),
        ("new.jpg,-1,3,visible,query", "line 7: pid must be a whole number from 0.*'-1'"),
        (f"new.jpg,{10**18},3,visible,query", "line 7: pid must be .* 18 digits at most.*'10000"),
        ("new.jpg,12,,visible,query", "line 7: camera must be a whole number from 0.*''"),
        ("new.jpg,12,3", "line 7: split must be one of .*''"),
        (
            "./q.jpg,12,3,visible,query",
            r"line 7 describes .*/q\.jpg again, after .*images\.csv, line 4",
        ),
        ("shots/../q.jpg,12,3,visible,query", r"line 7 describes .*q\.jpg again, after .*line 4"),
    ],
)
def test_bad_lines_are_named(table, line, message):
    (table / "new.jpg").touch()
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


def test_two_paths_of_one_file_are_one_image(table):
    """A symbolic link, a hard link, an absolute path."""
    (table / "soft.jpg").symlink_to("q.jpg")
    (table / "hard.jpg").hardlink_to(table / "q.jpg")
    for path in ("soft.jpg", "hard.jpg", table / "q.jpg"):
        (table / "images.csv").write_text(f"{TABLE}{path},13,5,visible,gallery\n")
        with pytest.raises(
            BadInput, match=rf"line 7 describes {table / path} again, after .*, line 4"
        ):
            load_dataset("own_images", table)


def test_images_beside_those_of_the_table_are_noted(table):
    (table / "shots" / "c.JPG").touch()
    (table / "shots" / "c.txt").touch()
    dataset = load_dataset("own_images", table)
    assert sentences(dataset.notes) == ["shots/c.JPG: left out; images.csv does not name it"]


NAMED = TABLE.replace(",7,", ",bob,").replace(",12,", ", alice ,")


def test_people_may_have_names(table):
    """They are numbered by the order of their names; numbers among them are names, too."""
    (table / "images.csv").write_text(f"{NAMED}e.bmp,007,3,IR,gallery\n")
    (table / "e.bmp").touch()
    dataset = load_dataset("own_images", table)
    assert dataset.names == ("7", "alice", "bob")
    assert dataset.train.pids.tolist() == [2, 2]
    assert dataset.test.pids.tolist() == [1, 1, 0, 1]
    assert dataset.people([2, 0]) == ["7", "bob"]


def test_other_names_are_another_data_set(table):
    numbered = load_dataset("own_images", table).fingerprint
    found = set()
    for text in (NAMED, NAMED.replace("bob", "carol")):
        (table / "images.csv").write_text(text)
        found.add(load_dataset("own_images", table).fingerprint)
    assert len({numbered, *found}) == 3


def test_who_is_named_is_called_by_name(table):
    (table / "images.csv").write_text(f"{NAMED}e.jpg,bob,3,visible,query\n")
    (table / "e.jpg").touch()
    with pytest.raises(BadInput, match=r"for training and for testing.*\['bob'\].*Take them out"):
        load_dataset("own_images", table)


def test_folders_may_be_called_by_name(folders):
    (folders / "gallery/nir/cam4/12").rename(folders / "gallery/nir/cam4/Zoë")
    dataset = load_dataset("own_folders", folders)
    assert dataset.names == ("12", "7", "Zoë")
    assert dict(zip(dataset.test.paths, dataset.test.pids, strict=True)) == {
        "gallery/nir/cam3/12/d.jpeg": 0,
        "gallery/nir/cam4/Zoë/c.bmp": 2,
        "query/visible/cam3/12/q.jpg": 0,
    }


def test_a_camera_in_another_format_is_refused_and_single_images_are_noted(folders):
    (folders / "gallery/nir/cam3/12/e.tif").touch()
    notes = sentences(load_dataset("own_folders", folders).notes)
    assert notes == [
        "gallery/nir/cam3/12/e.tif: left out; .tif is not read, save it as PNG",
        "gallery/nir/cam3/12/notes.txt: left out; .txt is not read",
    ]
    (folders / "gallery/nir/cam4/12/c.bmp").rename(folders / "gallery/nir/cam4/12/c.tif")
    (folders / "gallery/nir/cam3/12/e.tif").unlink()
    message = r"cam4: 1 of 1 files are not read, the first of them .*c\.tif"
    with pytest.raises(BadInput, match=message):
        load_dataset("own_folders", folders)

"""What is printed of a data set: counts against the published ones, and the findings."""

import dataclasses

import pytest

from cmnas_tf.data import LAYOUTS, load_dataset
from cmnas_tf.data.index import Count, Dataset, Image, Images
from cmnas_tf.data.preparation import Examined, examine, require_fit, write
from cmnas_tf.data.synthetic import write_dataset
from cmnas_tf.data.synthetic_plan import SyntheticPeople
from cmnas_tf.data.verify import Content
from cmnas_tf.errors import BadInput


def dataset_of(layout, counts, notes=()):
    """A data set with so many images and identities in each part and modality."""
    parts = {"train": [], "test": []}
    for name, (images, identities) in counts.items():
        part, modality = name.split()
        role = part if part in ("query", "gallery") else ""
        first = 0 if part == "train" else 10_000
        parts["train" if part == "train" else "test"] += [
            Image(f"{name} {n}", first + n % identities, 1, modality, role) for n in range(images)
        ]
    return Dataset(layout, "root", *map(Images.of, parts.values()), notes)


def examined(*datasets, **faults):
    paths = [path for d in datasets for path in (d.train + d.test).paths]
    contents = {path: Content(str(n), faults.get(path, "")) for n, path in enumerate(paths)}
    return Examined(dict(enumerate(datasets, start=1)), contents)


def test_counts_stand_beside_the_published_ones(registered):
    """Worked by hand: one part as published, one not, one that nobody published, one missing."""
    published = {
        "train visible": Count(6, 3),
        "query visible": Count(2, 2),
        "gallery visible": Count(9, 2),
    }
    registered("made_up", dataclasses.replace(LAYOUTS["market1501"], published=published))
    dataset = dataset_of(
        "made_up",
        {"train visible": (6, 3), "train infrared": (6, 3), "query visible": (3, 2)},
    )
    lines = examined(dataset).text().splitlines()
    assert lines[0] == "Market-1501 in root: 15 files"
    assert lines[2] == "                 images  identities  published"
    assert lines[4:] == [
        "train visible         6           3  agrees",
        "train infrared        6           3  not published",
        "query visible         3           2  differs: 2 images of 2 identities",
        "gallery visible       0           0  differs: 9 images of 2 identities",
        "",
        "tested:",
        "  single_query: 3 queries, 0 count, 3 show people who are not in the gallery",
    ]


GOOD = {"train visible": (4, 2), "train infrared": (4, 2), "test visible": (2, 2)}


def test_notes_are_no_faults():
    found = examined(dataset_of("sysu_mm01", {**GOOD, "test infrared": (1, 1)}, ("a note",)))
    assert found.faults == []
    require_fit(found)
    assert found.notes == ["a note"]
    text = found.text()
    assert "noticed:\n  a note" in text
    assert "to be mended" not in text


def test_a_fault_that_several_trials_share_is_told_once():
    """A file is a file in every trial; what the lists say differs from trial to trial."""
    good = dataset_of("regdb", GOOD)
    lists = dataset_of("regdb", {"train visible": (4, 2), "train infrared": (3, 1)})
    found = examined(good, lists, **{"train visible 1": "half a file"})
    first, second = found.faults
    assert first == ("train visible 1", "half a file")
    assert second.startswith("trial 2: 1 training")
    with pytest.raises(BadInput, match=r"not fit for use.*\(2 findings\)"):
        require_fit(found)


def test_a_data_set_is_examined_and_written(tmp_path, capsys):
    """RegDB with two people to train on and two to test with: each file is read once, whatever the
    number of trials. Nothing is printed."""
    people = SyntheticPeople("regdb", 2, 2, images_per_camera=2, image_height=32, image_width=16)
    write_dataset(people, tmp_path / "files", processes=1)
    found = examine("regdb", tmp_path / "files", trials=(1, 10))
    assert (list(found.trials), len(found.contents), found.faults) == ([1, 10], 16, [])
    shards = tmp_path / "shards"
    said = write(examine("regdb", tmp_path / "files", [4]), shards)
    assert said == (
        f"1 shards of 0.0 MB in all written to {shards}; give it as `data_dir`, with dataset=regdb "
        "trial=4"
    )
    expected = load_dataset("regdb", tmp_path / "files", 4).fingerprint
    assert load_dataset("regdb", shards, 4).fingerprint == expected
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def market(tmp_path):
    """Market-1501's folders with 2 + 4 people, on disk."""
    people = SyntheticPeople("market1501", 2, 4, images_per_camera=2, image_height=32,
                             image_width=16)  # fmt: skip
    write_dataset(people, tmp_path, processes=1)
    return tmp_path


def files_of(root, folder):
    """By identity and camera, the images of a folder, sorted."""
    found = {}
    for file in sorted((root / folder).glob("*.jpg")):
        pid, camera = file.name.split("_")[:2]
        found.setdefault((pid, camera[:2]), []).append(file)
    return found


def test_queries_that_do_not_count_are_told(market):
    """All count; without one of four people in the gallery a quarter shows nobody who is there;
    with one camera nobody sees a match. Training would be as before, so nothing need be mended."""
    queries, gallery = (files_of(market, part) for part in ("query", "bounding_box_test"))
    count = sum(map(len, queries.values()))
    assert examine("market1501", market).queries == [
        f"single_query: {count} queries, {count} count"
    ]
    gone = min(pid for pid, _ in queries)
    for (pid, _), files in gallery.items():
        for file in files if pid == gone else ():
            file.unlink()
    left = count * 3 // 4
    found = examine("market1501", market)
    assert found.queries == [
        f"single_query: {count} queries, {left} count, {count - left} show people who are not in "
        "the gallery"
    ]
    assert f"tested:\n  {found.queries[0]}" in found.text()
    for part in ("query", "bounding_box_test"):
        for number, file in enumerate(sorted((market / part).glob("*.jpg"))):
            file.rename(file.with_name(f"{file.name.split('_')[0]}_c1s1_{number:06d}_00.jpg"))
    found = examine("market1501", market)
    assert found.queries == [
        f"single_query: {count} queries, 0 count, {count - left} show people who are not in the "
        f"gallery, {left} show people who are in the gallery only from the query's own camera"
    ]
    assert found.faults == []


def test_equal_pictures_are_noticed(market):
    """One under two people, and one of a query in the gallery under another camera."""
    before = examine("market1501", market).notes
    queries, gallery = (files_of(market, part) for part in ("query", "bounding_box_test"))
    (one, camera), (query, *_) = min(queries.items())
    answer = next(files[0] for key, files in gallery.items() if key[0] == one and key[1] != camera)
    answer.write_bytes(query.read_bytes())
    *others, note = examine("market1501", market).notes
    assert others == before
    assert note.startswith("1 pictures are there twice as query and in the gallery")
    assert query.name in note and answer.name in note
    train = files_of(market, "bounding_box_train")
    first, second = (train[key][0] for key in (min(train), max(train)))
    second.write_bytes(first.read_bytes())
    *others, people, again = examine("market1501", market).notes
    assert (others, again) == (before, note)
    assert people.startswith("1 pictures are there twice with different identities: at least one")
    assert f"{first.name} (identity {int(first.name[:4])}, camera " in people


def test_one_modality_asks_for_the_other(tmp_path):
    """An infrared file that is a visible one finds itself; two visible ones both answer."""
    people = SyntheticPeople("sysu_mm01", 2, 2, images_per_camera=1, image_height=32,
                             image_width=16)  # fmt: skip
    write_dataset(people, tmp_path, processes=1)
    dataset = load_dataset("sysu_mm01", tmp_path)
    pid = dataset.test.pids[0]
    first, second, infrared = (tmp_path / f"cam{camera}" / f"{pid:04d}" for camera in (1, 2, 3))
    ((first,), (second,), (infrared,)) = (list(x.iterdir()) for x in (first, second, infrared))
    second.write_bytes(first.read_bytes())
    assert examine("sysu_mm01", tmp_path).notes == []
    infrared.write_bytes(first.read_bytes())
    (note,) = examine("sysu_mm01", tmp_path).notes
    assert "as query and in the gallery" in note and "camera 3" in note

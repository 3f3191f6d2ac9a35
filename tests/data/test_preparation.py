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
    lines = str(examined(dataset)).splitlines()
    assert lines[0] == "Market-1501 in root: 15 files"
    assert lines[2] == "                 images  identities  published"
    assert lines[4:] == [
        "train visible         6           3  agrees",
        "train infrared        6           3  not published",
        "query visible         3           2  differs: 2 images of 2 identities",
        "gallery visible       0           0  differs: 9 images of 2 identities",
    ]


GOOD = {"train visible": (4, 2), "train infrared": (4, 2), "test visible": (2, 2)}


def test_notes_are_no_faults():
    found = examined(dataset_of("sysu_mm01", {**GOOD, "test infrared": (1, 1)}, ("a note",)))
    assert found.faults == []
    require_fit(found)
    first, second = found.notes
    assert first == "a note"
    assert second.startswith("1 test identities have no infrared image")
    text = str(found)
    assert "noticed:\n  a note\n  1 test identities" in text
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

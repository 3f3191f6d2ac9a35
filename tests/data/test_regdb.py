"""RegDB as it lies on disk, in trees of empty files."""

import pytest

from cmnas_tf.data import layout_in, load_dataset
from cmnas_tf.data.findings import sentences
from cmnas_tf.errors import BadInput

PIDS = {"train": (12, 4), "test": (9, 30)}


@pytest.fixture
def tree(tmp_path_factory):
    """Two images of each identity and modality; trials 1 and 10, where the splits are swapped."""
    tmp_path = tmp_path_factory.mktemp("above") / "RegDB"
    (tmp_path / "idx").mkdir(parents=True)
    for folder, letter in ("Visible", "v"), ("Thermal", "t"):
        for split, pids in PIDS.items():
            lines = []
            for label, pid in enumerate(pids):
                (tmp_path / folder / str(pid)).mkdir(parents=True)
                for number in (1, 2):
                    path = f"{folder}/{pid}/male_back_{letter}_{number}_{pid}.bmp"
                    (tmp_path / path).touch()
                    lines.append(f"{path} {label}\n")
            swapped = {"train": "test", "test": "train"}[split]
            for name in f"{split}_{folder.lower()}_1", f"{swapped}_{folder.lower()}_10":
                (tmp_path / "idx" / f"{name}.txt").write_text("".join(lines))
    return tmp_path


def test_identities_are_folders_and_cameras_are_modalities(tree):
    dataset = load_dataset("regdb", tree, trial=1)
    assert (dataset.layout, dataset.root) == ("regdb", tree)
    train = dataset.train
    assert list(zip(train.paths, train.pids, train.cameras, train.modalities, strict=True)) == [
        (f"{folder}/{pid}/male_back_{letter}_{number}_{pid}.bmp", pid, camera, modality)
        for folder, letter, camera, modality in [
            ("Thermal", "t", 2, "infrared"),
            ("Visible", "v", 1, "visible"),
        ]
        for pid in (12, 4)  # "12" comes before "4" in a list sorted by path
        for number in (1, 2)
    ]
    assert sorted(set(dataset.test.pids)) == [9, 30]


def test_trials_are_splits(tree):
    first, last = (load_dataset("regdb", tree, trial) for trial in (1, 10))
    assert (first.trial, last.trial) == (1, 10)
    assert first.train.paths.tolist() == last.test.paths.tolist()
    assert first.test.paths.tolist() == last.train.paths.tolist()


@pytest.mark.parametrize("trial", [0, 11])
def test_there_are_ten_trials(tree, trial):
    with pytest.raises(BadInput, match=rf"10 split.* trial must be in 1\.\.10\. Received: {trial}"):
        load_dataset("regdb", tree, trial)


def test_a_missing_list_is_named(tree):
    with pytest.raises(BadInput, match=r"train_visible_2\.txt is missing"):
        load_dataset("regdb", tree, trial=2)


def test_missing_images_are_named(tree):
    for number in (1, 2):
        (tree / f"Thermal/30/male_back_t_{number}_30.bmp").unlink()
    with pytest.raises(BadInput, match=r"2 of 16 listed images .*Thermal/30/male_back_t_1_30"):
        load_dataset("regdb", tree)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Visible/4/b.bmp", "line 5, must read 'Visible/<identity>/<file> <label>'"),
        ("Visible/4/b.bmp four", "line 5, must read"),
        ("Thermal/4/male_back_t_1_4.bmp 1", "line 5, must read 'Visible/"),
        ("Visible/four/b.bmp 1", "line 5, must read"),
        (
            "Visible/77/b.bmp 1",
            "line 5, gives identity 77 the label 1, but .* identity 4 the label",
        ),
        (
            "Visible/4/b.bmp 8",
            "line 5, gives identity 4 the label 8, but .* identity 4 the label 1",
        ),
    ],
)
def test_bad_lines_are_named(tree, line, message):
    with (tree / "idx" / "train_visible_1.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(BadInput, match=f"train_visible_1.txt, {message}"):
        load_dataset("regdb", tree)


def test_both_modalities_number_the_same_people(tree):
    """Label 0 is identity 12 among the visible images and 4 among the thermal ones."""
    file = tree / "idx" / "train_thermal_1.txt"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(line[:-1] + str(1 - int(line[-1])) for line in lines))
    with pytest.raises(
        BadInput, match=r"train_thermal_1\.txt, line 1, gives identity 12 the label 1"
    ):
        load_dataset("regdb", tree)


def test_nobody_is_in_both_splits(tree):
    for folder in ("visible", "thermal"):
        (tree / "idx" / f"test_{folder}_1.txt").write_text(
            (tree / "idx" / f"train_{folder}_1.txt").read_text()
        )
    with pytest.raises(BadInput, match=r"2 identities .*for training and for testing.*\[4, 12\]"):
        load_dataset("regdb", tree)


def test_lines_that_are_there_twice_are_refused(tree):
    file = tree / "idx" / "test_visible_1.txt"
    lines = file.read_text()
    file.write_text(lines + "".join(lines.splitlines(keepends=True)[:2]))
    message = (
        r"test_visible_1\.txt, line 5, lists Visible/9/male_back_v_1_9\.bmp again, .* line 1\."
    )
    with pytest.raises(BadInput, match=message):
        load_dataset("regdb", tree)


def test_images_in_no_list_are_noted(tree):
    """Of the trial; those of other trials are the same people."""
    for name in ("Visible/12/more.bmp", "Thermal/77/1.JPG"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).touch()
    notes = load_dataset("regdb", tree).notes
    assert sentences(notes) == ["Visible/12/more.bmp and 1 more: left out; no list names it"]


def test_a_folder_in_another_case_is_named(tree):
    """Whether or not it is said which data set it is."""
    (tree / "Visible").rename(tree / "visible")
    assert layout_in(tree) == "regdb"
    with pytest.raises(BadInput, match=r"has no Visible, but visible is there\. Rename it"):
        load_dataset("regdb", tree)


def test_a_folder_above_or_below_is_named(tree):
    above = tree.parent
    assert layout_in(above) is None
    for layout in ("regdb", "sysu_mm01"):
        with pytest.raises(BadInput, match=rf"{tree} looks like regdb, not {above} itself\."):
            load_dataset(layout, above)
        with pytest.raises(BadInput, match=rf"idx is a part of regdb\. .* above, {tree}"):
            load_dataset(layout, tree / "idx")

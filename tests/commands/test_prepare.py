"""The command that looks through a data set and writes it as shards: what it prints, and its exit
codes."""

import shutil

import pytest

from cmnas_tf.commands import command_line, prepare
from cmnas_tf.data import load_dataset
from cmnas_tf.data.synthetic import write_dataset
from cmnas_tf.data.synthetic_plan import SyntheticPeople


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """RegDB with 2 + 2 people, two images of each in each modality."""
    root = tmp_path_factory.mktemp("data") / "regdb"
    people = SyntheticPeople("regdb", 2, 2, images_per_camera=2, image_height=32, image_width=16)
    write_dataset(people, root, processes=1)
    return root


@pytest.fixture
def tree(whole, tmp_path):
    """A copy, to be spoiled."""
    return shutil.copytree(whole, tmp_path / "regdb")


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command; gives its exit code, what it printed, and its error message."""

    def run(root, *flags):
        flags = (f"--data_dir={root}", "--dataset=regdb", "--noprogress", *flags)
        monkeypatch.setattr("sys.argv", ["prepare", *flags])
        code = 0
        try:
            command_line.run(prepare.main, prepare.Prepare)
        except SystemExit as exit_:
            code = exit_.code
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return run


def spoil(tree):
    """One file is cut off, one is missing, a training image is also a test image; in the lists of
    trial 1 identity 2 has no thermal training image. Gives the paths of the first four."""
    dataset = load_dataset("regdb", tree)
    cut, copied, *_, gone = dataset.train.of_modality("visible").paths
    copy = dataset.test.paths[0]
    (tree / cut).write_bytes((tree / cut).read_bytes()[:200])
    shutil.copy(tree / copied, tree / copy)
    (tree / gone).unlink()
    list_ = tree / "idx" / "train_thermal_1.txt"
    first = list_.read_text().splitlines()[0].split("/")[1]
    lines = [line for line in list_.read_text().splitlines() if line.split("/")[1] == first]
    list_.write_text("\n".join(lines))
    return cut, copied, copy, gone


def test_a_whole_data_set_is_fit_for_use(run, whole):
    code, out, err = run(whole)
    assert (code, err) == (0, "")
    assert out.startswith(f"RegDB in {whole}: 16 files\n")
    assert "train visible        4           2  differs: 2060 images of 206 identities\n" in out
    assert "to be mended" not in out
    assert out.endswith("fit for use\n")


def test_everything_that_is_wrong_is_printed_at_once(run, tree):
    cut, copied, copy, gone = spoil(tree)
    code, out, err = run(tree)
    assert code == 2
    assert f"  {cut}: not a complete JPEG, PNG or BMP image (" in out
    assert f"  {gone}: the file does not exist\n" in out
    assert f"  {copied} (to train on) and {copy} (to test with): the same file\n" in out
    assert "1 training identities" in out
    assert "have no infrared image" in out
    assert "fit for use\n" not in out
    assert "not fit for use: mend what is listed above (4 findings)" in err


def test_a_faulty_data_set_is_not_written(run, tree, tmp_path):
    spoil(tree)
    code, _, _ = run(tree, f"--shards_dir={tmp_path / 'shards'}")
    assert code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["regdb"]


def test_all_trials_are_looked_at_and_their_faults_tell_which(run, tree):
    """Trial 1 is spoiled in its list alone; the ten trials together read each file once."""
    list_ = tree / "idx" / "train_thermal_3.txt"
    kept = list_.read_text().splitlines()[:2]
    list_.write_text("\n".join(kept))
    assert run(tree)[0] == 0
    code, out, _ = run(tree, "--all_trials")
    assert code == 2
    assert "16 files\n" in out
    assert "   10  test infrared" in out
    assert "  trial 3: 1 training identities" in out
    assert out.count("training identities") == 1


def test_shards_are_written_and_are_themselves_a_data_set(run, whole, tmp_path):
    """Of the trial that is asked for; what is read from them can be prepared again."""
    shards = tmp_path / "shards"
    code, out, _ = run(whole, "--trial=4", f"--shards_dir={shards}")
    assert code == 0
    assert f"1 shards of 0.0 MB in all written to {shards}; give it as --data_dir" in out
    expected = load_dataset("regdb", whole, 4).fingerprint
    assert load_dataset("regdb", shards, 4).fingerprint == expected
    code, again, _ = run(shards, "--trial=4")
    assert code == 0
    assert again.splitlines()[1:] == run(whole, "--trial=4")[1].splitlines()[1:]


def test_what_cannot_be_asked_for(run, whole, tmp_path):
    code, _, err = run(whole, "--all_trials", f"--shards_dir={tmp_path / 'shards'}")
    assert code == 2
    assert "--all_trials means several; give --trial" in err
    code, out, err = run(whole, f"--shards_dir={tmp_path}")
    assert (code, out) == (2, "")  # said before anything is read
    assert f"--shards_dir={tmp_path} exists" in err
    code, _, err = run(whole, "--trial=11")
    assert code == 2
    assert "trial must be in 1..10" in err
    code, _, err = run(tmp_path / "none")
    assert code == 2
    assert "none does not exist" in err


def test_what_many_files_share_is_said_once_unless_all_is_asked_for(run, tree):
    """Six visible images are gone, two images are in no list, one file is no image."""
    gone = sorted(tree.glob("Visible/*/*.bmp"))[:6]
    names = [str(path.relative_to(tree)) for path in gone]
    for path in gone:
        path.unlink()
    for name in ("1/a.bmp", "1/b.JPG", "2/c.tif"):
        (tree / "Thermal" / name).touch()
    code, out, _ = run(tree)
    assert code == 2
    assert f"  {names[0]} and 5 more: the file does not exist\n" in out
    assert "  Thermal/1/a.bmp and 1 more: left out; no list names it\n" in out
    assert "  Thermal/2/c.tif: left out; .tif is not read, save it as PNG\n" in out
    _, out, _ = run(tree, "--all")
    for name in names:
        assert f"  {name}: the file does not exist\n" in out
    assert "  Thermal/1/b.JPG: left out; no list names it\n" in out


def test_what_all_trials_share_is_said_once(run, tree):
    (tree / "Thermal/1/a.bmp").touch()
    _, out, _ = run(tree, "--all_trials")
    assert out.count("Thermal/1/a.bmp: left out; no list names it") == 1

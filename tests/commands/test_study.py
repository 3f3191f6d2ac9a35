"""``cmnas study``: what there is to do, and what it starts to do it."""

import json
import subprocess
from dataclasses import asdict

import pytest

from cmnas_tf.commands import command_line, executor, study
from cmnas_tf.commands.executor import starter
from cmnas_tf.commands.options_of_runs import DataFolder
from cmnas_tf.commands.study import StudyCommand, make
from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_json
from cmnas_tf.runs.run_folder import Description
from cmnas_tf.studies import run_cell
from tests.commands.every import read
from tests.studies.small import finish

SMALL = [
    "--arms=shared,random,searched",
    "--against=shared,random",
    "--seeds=2",
    "--random_architectures=1",
    *(f"--{part}.{flag}" for part in ("search", "train")
      for flag in ("backbone=resnet18", "width=0.0625", "epochs=10")),
    "--search.epochs=8",
    "--search.warmup_epochs=4",
]  # fmt: skip


def command(folder, *flags):
    return read(StudyCommand, *SMALL, f"--run_dir={folder}", *flags)


def test_says_what_there_is_to_do_and_does_nothing(tmp_path, capsys):
    """Six cells, on the published number of images; see the steps by hand in test_budget."""
    folder = tmp_path / "study"
    flags = ["--dry_run", f"--data_dir={tmp_path / 'none'}", "--train.epochs=10"]
    study.main(command(folder, *flags))
    output = capsys.readouterr().out
    assert output.count("to do") == 6
    assert "about 2784 search steps and 20880 training steps" in output
    assert not folder.exists()


def test_a_flag_that_is_gone_says_what_to_do_instead(tmp_path):
    for flag in ("--measure_steps=20", "--measure_steps"):
        with pytest.raises(BadInput, match="is gone"):
            command(tmp_path, flag)


def test_of_people_that_are_still_to_be_drawn(tmp_path, capsys):
    none = f"--data_dir={tmp_path / 'none'}"
    study.main(command(tmp_path / "study", none, "--dry_run", "--people=study_synthetic_people"))
    assert "known once there are images in --data_dir=" in capsys.readouterr().out


@pytest.fixture
def started(monkeypatch):
    """What commands are asked for, in the place of their processes: their names and flags; of
    images that nobody reads."""
    asked = []
    monkeypatch.setattr(DataFolder, "load_listed", lambda folder: None)

    def start(name, *arguments, output, environment):
        asked.append((name, arguments, environment))
        return subprocess.Popen(["true"], stdout=output)

    monkeypatch.setattr(executor, "start_command", start)
    monkeypatch.setattr(study, "run_command", lambda *given: asked.append(given))
    return asked


def test_images_that_are_not_there_are_missed_before_the_first_cell(tmp_path):
    """And not once they are no longer needed."""
    own = command(tmp_path / "study", f"--data_dir={tmp_path / 'none'}")
    with pytest.raises(BadInput, match="none does not exist"):
        study.main(own)
    assert not (tmp_path / "study").exists()
    for cell in make(own).cells():
        finish(cell)
    study.main(own)


def test_a_cell_is_started_by_the_same_command(tmp_path, started):
    """Which reads to the same study, of so many threads."""
    flags = ("--search.relaxation=gumbel", "--evaluate.rerank", "--threads=3")
    own = command(tmp_path, *flags, "--jobs=9")
    cell = make(own).cell("random_1/seed1")
    for done in make(own).cells():
        if done.name != cell.name:
            finish(done)
    with pytest.raises(SystemExit):  # the stand-in ends without results
        study.main(own)
    ((name, arguments, environment),) = started
    again = command_line.read(StudyCommand, [name, *arguments])
    assert (name, again.cell) == ("study", "random_1/seed1")
    assert make(again) == make(own)
    assert again.threads.threads == 3
    assert environment == {"OMP_NUM_THREADS": "3"}
    assert cell.log_file.is_file()


def test_each_cell_has_a_place_of_its_own_and_leaves_it_to_the_next(tmp_path, monkeypatch):
    at_work, seen = set(), []

    class Process:
        def __init__(self, name, *arguments, output, environment):
            at_work.add(self)
            seen.append((self, environment["CUDA_VISIBLE_DEVICES"]))

        def poll(self):
            return None if self in at_work else 0

    monkeypatch.setattr(executor, "start_command", Process)
    own = command(tmp_path)
    start = starter(lambda cell: ["study"], {}, ["0,1", "2,3", "4,5"])
    cell = make(own).cell("shared/seed0")
    for _ in range(3):
        start(cell)
    at_work.remove(seen[1][0])
    start(cell)
    at_work.remove(seen[0][0])
    start(cell)
    assert [gpus for _, gpus in seen] == ["0,1", "2,3", "4,5", "2,3", "0,1"]


def test_no_more_cells_at_a_time_than_the_gpus_have_room_for(
    tmp_path, started, monkeypatch, capsys
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    for flags, jobs, grows in (
        (["--jobs=9"], 2, None),
        (["--jobs=9", "--gpus_per_cell=2"], 1, None),
        (["--jobs=3", "--gpus_per_cell=0.5"], 3, "true"),
    ):
        started.clear()
        with pytest.raises(SystemExit):  # the stand-ins end without results
            study.main(command(tmp_path, *flags))
        assert f"--jobs={jobs}: the GPUs have room for" in capsys.readouterr().out
        environments = [environment for *_, environment in started]
        seen = {environment["CUDA_VISIBLE_DEVICES"] for environment in environments}
        assert seen <= ({"5,7"} if jobs == 1 else {"5", "7"})
        assert {e.get("TF_FORCE_GPU_ALLOW_GROWTH") for e in environments} == {grows}


def test_one_cell_alone_is_done_here(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(run_cell, "run_cell", lambda *given: done.append(given))
    own = command(tmp_path, "--cell=shared/seed1", "--threads=3")
    study.main(own)
    assert done == [(make(own).cell("shared/seed1"), 3)]
    with pytest.raises(BadInput, match="cell=shared/seed9: no such cell"):
        study.main(command(tmp_path, "--cell=shared/seed9"))


def test_people_are_drawn_first_and_the_report_comes_last(tmp_path, capsys, started):
    """Of a study that is finished; nothing else is started."""
    own = command(tmp_path / "study", "--people=people.flags")
    for cell in make(own).cells():
        finish(cell)
    study.main(own)
    assert started == [("make_synthetic", "--flagfile=people.flags", "--data_dir=there")]
    said = capsys.readouterr().out
    assert said.startswith("6 cells, 6 finished before\n# Does `searched` help?")
    assert said.endswith(f"written to {tmp_path / 'study' / 'study.md'}\n")
    assert json.loads((tmp_path / "study" / "study.json").read_text())["unfinished"] == {}


def test_it_ends_with_1_where_a_cell_failed(tmp_path, started, capsys):
    """The stand-ins end without results; the report says so, too."""
    with pytest.raises(SystemExit) as ended:
        study.main(command(tmp_path, "--jobs=3"))
    assert ended.value.code == 1
    assert {name for name, *_ in started} == {"study"} and len(started) == 4
    said = capsys.readouterr().out
    assert "FAILED: it said nothing" in said
    assert "- random_1/seed0: not begun, since searched/seed0 failed" in said


def test_all_cells_have_the_threads_of_the_first_whatever_there_is_now(tmp_path, started):
    """The machine, and how many cells are worked on at a time; another number is refused."""
    own = command(tmp_path)
    assert make(own).threads() == 0
    run = make(own).cell("random_1/seed1").train_run
    write_json(run.description, asdict(Description("train", "x", {}, 1, threads=3)))
    assert make(own).threads() == 0  # there is nothing yet that would be others'
    run.checkpoint_folder.mkdir()
    (run.checkpoint_folder / "step-00000001.safetensors").touch()
    assert make(own).threads() == 3
    for flags in ([], ["--jobs=2"], ["--threads=3"]):
        with pytest.raises(SystemExit):  # the stand-ins end without results
            study.main(command(tmp_path, *flags))
    assert {read(StudyCommand, *flags).threads.threads for _, flags, _ in started} == {3}
    with pytest.raises(BadInput, match="threads=2, but it began with threads=3"):
        study.main(command(tmp_path, "--threads=2"))


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("warmup_epochs=8", "--search.warmup_epochs=8 leaves no epoch of --search.epochs=8"),
        ("candidates=5", "--search.candidates=5 means nothing to --search.algorithm=darts"),
        ("order=second --search.precision=float16", "--search.order=second takes differences"),
    ],
)
def test_options_of_a_part_that_do_not_fit_each_other_are_flags(tmp_path, capsys, flag, said):
    """As they are typed, with the prefix of the part."""
    flags = [*SMALL, f"--run_dir={tmp_path / 'study'}", "--data_dir=there", "--dry_run"]
    with pytest.raises(SystemExit) as ended:
        given = f"--search.{flag}".split()
        command_line.run(study.main, StudyCommand, ["study", *flags, *given])
    assert ended.value.code == 2
    assert f"error: {said}" in capsys.readouterr().err


def test_it_is_not_begun_where_an_arm_cannot_be(tmp_path, capsys, monkeypatch):
    """Before any process; in flags."""
    monkeypatch.setattr(executor, "start_command", None)
    flags = [*SMALL, f"--run_dir={tmp_path / 'study'}", "--data_dir=there", "--subject=shared"]
    with pytest.raises(SystemExit) as ended:
        command_line.run(study.main, StudyCommand, ["study", *flags])
    assert ended.value.code == 2
    assert "must be a search among --arms=shared,random" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()

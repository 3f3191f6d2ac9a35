"""Whose folder is it: a new run, the same run again, or something else."""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import portalocker
import pytest

from cmnas_tf.architecture import Architecture
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_json
from cmnas_tf.options import Option, Options, described, option
from cmnas_tf.runs import checkpoints
from cmnas_tf.runs.run_folder import ANYTHING, Description, RunFolder, changed, content_of
from cmnas_tf.search_spaces import NormSpace
from cmnas_tf.training.recipe import TOLD_OTHERWISE, Recipe
from tests.models.genotypes import EVERYTHING
from tests.runs.saving import save

ROOT = Path(__file__).parents[2]


def train(seed=0, **changes):
    """What the result of a training follows from."""
    return {**described([Recipe().with_values(**changes)]), "seed": seed}


def open_run(folder, settings=None, command="train", data="data", devices=1, writes=True):
    """Opens a run and leaves it at once; gives its folder."""
    run = RunFolder(folder)
    description = Description(command, data, train() if settings is None else settings, devices)
    with run.opened(description, Recipe.options(), TOLD_OTHERWISE, writes):
        return run


def recorded(folder):
    return json.loads(RunFolder(folder).description.read_text())


def test_a_new_folder_is_made_and_described(tmp_path):
    run = open_run(tmp_path / "a" / "b")
    assert run.path == tmp_path / "a" / "b"
    found = recorded(run.path)
    assert found["command"] == "train"
    assert found["settings"]["image_height"] == 256
    assert found["settings"]["decay_epochs"] == [40.0, 70.0]
    assert not {"run_dir", "cache"} & set(found["settings"])
    assert (found["devices"], found["data"]) == (1, "data")
    assert {path.name for path in run.path.iterdir()} == {"run.json", "run.lock"}


def test_how_many_steps_it_takes(tmp_path):
    """Where the run says so; an earlier version did not, and a damaged file says nothing."""
    assert RunFolder(tmp_path).planned_steps() is None
    run = open_run(tmp_path)
    assert run.planned_steps() is None
    described = recorded(tmp_path)
    assert described["steps"] == 0
    write_json(run.description, {**described, "steps": 532})
    assert run.planned_steps() == 532
    del described["steps"]
    write_json(run.description, described)
    assert run.planned_steps() is None
    open_run(tmp_path)  # resumes
    run.description.write_text("{")
    assert run.planned_steps() is None


def test_how_many_threads_it_began_with(tmp_path):
    """Once it has begun; an earlier version did not say, and resumes."""
    run = RunFolder(tmp_path)
    description = Description("train", "data", train(), 1, threads=3)
    with run.opened(description, Recipe.options()):
        assert recorded(tmp_path)["threads"] == 3
        assert run.threads() == 0
    save(run.checkpoint_folder, 1, {}, {})
    assert run.threads() == 3
    without = {name: value for name, value in recorded(tmp_path).items() if name != "threads"}
    write_json(run.description, without)
    assert run.threads() == 0
    open_run(tmp_path)


def test_an_empty_folder_may_be_used(tmp_path):
    assert open_run(tmp_path).path == tmp_path


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    """Be it the description of the run itself, without which a folder holds something else."""
    first = tmp_path / ".run.json.0123abcd.tmp"
    first.touch()
    open_run(tmp_path)
    deeper = tmp_path / "checkpoints" / ".step-00000012.safetensors.1a2b3c4d.tmp"
    deeper.parent.mkdir()
    deeper.touch()
    own = tmp_path / "notes.tmp"
    own.touch()
    open_run(tmp_path)
    assert (first.exists(), deeper.exists(), own.exists()) == (False, False, True)


def checkpointed(folder, **how):
    """A run in ``folder`` that has reached its first checkpoint."""
    run = open_run(folder, **how)
    run.checkpoint_folder.mkdir()
    (run.checkpoint_folder / "step-00000005.safetensors").write_bytes(b"")
    return run


def test_the_same_run_is_taken_up_again(tmp_path):
    """With options that do not shape the result changed, too; nobody is said to use it since."""
    checkpointed(tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    assert open_run(tmp_path, train(cache="decoded")).path == tmp_path
    assert (tmp_path / "run.json").read_bytes() == before
    assert (tmp_path / "run.lock").read_text() == ""


def test_other_settings_are_named_with_both_values(tmp_path):
    checkpointed(tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(BadInput) as error:
        open_run(tmp_path, train(seed=1, decay_epochs=(30.0,)))
    assert str(error.value) == (
        f"run_dir={tmp_path} holds a run with other settings (decay_epochs=[40.0, 70.0] then, "
        "[30.0] now, seed=0 then, 1 now). Give the same ones to resume it, or another folder to "
        "start anew."
    )
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_run_that_has_no_checkpoint_yet_may_begin_anew(tmp_path):
    """It failed at its first batch, say, and the message advised another option."""
    open_run(tmp_path)
    assert not RunFolder(tmp_path).has_begun()
    open_run(tmp_path, train(pad=3))
    assert recorded(tmp_path)["settings"]["pad"] == 3


def test_a_run_whose_candidate_has_a_checkpoint_has_begun(tmp_path):
    run = open_run(tmp_path)
    candidate = RunFolder(run.candidates / "candidate_01")
    candidate.checkpoint_folder.mkdir(parents=True)
    assert not run.has_begun()
    (candidate.checkpoint_folder / "step-00000005.safetensors").write_bytes(b"")
    assert run.has_begun() and candidate.has_begun()
    with pytest.raises(BadInput, match="seed=0 then, 1 now"):
        open_run(tmp_path, train(seed=1))


def test_a_run_of_another_command_is_refused(tmp_path):
    checkpointed(tmp_path)
    with pytest.raises(BadInput, match="holds a run of train, not of search"):
        open_run(tmp_path, command="search")


def test_a_run_on_other_images_is_refused(tmp_path):
    checkpointed(tmp_path)
    with pytest.raises(BadInput, match="holds a run on other images than `data_dir` lists now"):
        open_run(tmp_path, data="other data")


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(BadInput, match=r"holds files of something else"):
        open_run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"command": "train"}', '{"command": "train", "data": "", "settings": 3}'],
)
def test_a_damaged_or_foreign_run_json_is_named(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(BadInput, match=r"run\.json is not a description of a run"):
        open_run(tmp_path)
    assert (tmp_path / "run.json").read_text() == content


def test_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for writes in (True, False):
        with pytest.raises(BadInput, match=r"file is a file"):
            open_run(tmp_path / "file", writes=writes)


def test_a_folder_in_use_is_refused_naming_who_uses_it(tmp_path):
    """By this very process, too; and it is free when the run is over, however it ended."""
    run, description = RunFolder(tmp_path), Description("train", "data", train(), 1)
    with run.opened(description, Recipe.options()):
        before = (tmp_path / "run.json").read_bytes()
        user = f"process {os.getpid()} on {socket.gethostname()}"
        with pytest.raises(BadInput, match=f"is in use by {user}. Wait for it, end it"):
            open_run(tmp_path, train(seed=1))
        assert (tmp_path / "run.json").read_bytes() == before
    with pytest.raises(KeyboardInterrupt), run.opened(description, Recipe.options()):
        raise KeyboardInterrupt
    open_run(tmp_path)


def test_one_may_wait_until_no_run_in_a_folder_is_in_use(tmp_path, caplog, monkeypatch):
    caplog.set_level("INFO", "cmnas_tf.files")
    said, free = threading.Event(), threading.Event()
    monkeypatch.setattr(caplog.handler, "filters", [lambda record: said.set() or True])
    RunFolder(tmp_path).wait_until_unused()

    def wait():
        RunFolder(tmp_path).wait_until_unused()
        free.set()

    description = Description("train", "data", train(), 1)
    with RunFolder(tmp_path / "cell" / "train").opened(description, Recipe.options()):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert said.wait(60)
        assert not free.is_set()
    waiting.join(60)
    assert free.is_set()
    user = f"process {os.getpid()} on {socket.gethostname()}"
    assert caplog.messages == [
        f"{tmp_path / 'cell' / 'train'} is in use by {user}, which is waited for."
    ]


def test_a_killed_process_leaves_the_folder_free(tmp_path):
    (tmp_path / "run.lock").touch()
    holder = "import sys, portalocker; f = open(sys.argv[1], 'r+'); portalocker.lock(f, 6)"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{holder}; print(flush=True); sys.stdin.read()", "run.lock"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    with pytest.raises(BadInput, match="in use by another process"):
        open_run(tmp_path)
    assert not (tmp_path / "run.json").exists()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    open_run(tmp_path)


def test_where_nothing_can_be_locked_that_is_said(tmp_path, monkeypatch, caplog):
    def no_locks(*_):
        raise portalocker.LockException("No locks available")

    caplog.set_level("INFO", "cmnas_tf")
    monkeypatch.setattr(portalocker, "lock", no_locks)
    open_run(tmp_path)
    assert "lies where no file can be locked (No locks available)" in caplog.text


def test_another_number_of_devices(tmp_path):
    """Another computation if each normalises for itself; else the run may be resumed."""
    checkpointed(tmp_path / "own")
    with pytest.raises(BadInput, match=r"a run on 1 devices, and here are 2; with batch_norm=per_"):
        open_run(tmp_path / "own", devices=2)
    over_all = train(batch_norm="synchronized")
    checkpointed(tmp_path / "over_all", settings=over_all)
    open_run(tmp_path / "over_all", over_all, devices=2)
    assert recorded(tmp_path / "over_all")["devices"] == 2


def test_only_the_chief_writes(tmp_path):
    assert open_run(tmp_path / "run", writes=False).path == tmp_path / "run"
    assert not (tmp_path / "run").exists()


def test_what_is_refused_before_it_begins_leaves_no_folder(tmp_path):
    """A folder that was there before stays, and so does one that holds more than a beginning."""

    def refused(run, *files):
        with (
            pytest.raises(BadInput, match=r"^no$"),
            run.opened(Description("train", "data", train(), 1), Recipe.options()),
        ):
            for file in files:
                file.parent.mkdir(exist_ok=True)
                file.touch()
            raise BadInput("no")
        return sorted(path.name for path in run.path.iterdir()) if run.path.exists() else None

    run = RunFolder(tmp_path / "new")
    assert refused(run) is None
    assert refused(run, run.split) is None
    assert refused(run, run.split, run.tensorboard / "events") == [
        "run.json", "run.lock", "split.json", "tensorboard",
    ]  # fmt: skip
    there = RunFolder(tmp_path / "there")
    there.path.mkdir()
    assert refused(there) == ["run.json", "run.lock"]
    another = RunFolder(tmp_path / "another")
    open_run(another.path)
    assert refused(another) == ["run.json", "run.lock"]
    with (
        pytest.raises(KeyboardInterrupt),
        (run := RunFolder(tmp_path / "stopped")).opened(
            Description("train", "data", train(), 1), Recipe.options()
        ),
    ):
        raise KeyboardInterrupt
    assert run.description.is_file()


def test_without_a_path_it_is_a_temporary_folder_that_vanishes_with_the_object():
    run = RunFolder()
    other = RunFolder()
    path = run.path
    assert path.is_dir() and path != other.path
    with run.opened(Description("train", "data", train(), 1), Recipe.options()):
        run.checkpoint_folder.mkdir()
        (run.checkpoint_folder / "step-00000005.safetensors").write_bytes(b"")
    assert run.has_begun()
    del run
    gc.collect()
    assert not path.exists() and other.path.is_dir()


def test_a_temporary_folder_vanishes_at_the_end_of_the_process():
    script = "from cmnas_tf.runs.run_folder import RunFolder; run = RunFolder(); print(run.path)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "cmnas_tf-" in done.stdout and not Path(done.stdout.strip()).exists()


def test_the_newest_checkpoint_and_what_it_says_of_itself(tmp_path):
    run = RunFolder(tmp_path)
    assert (run.newest(), run.newest_digest(), run.checkpoints().paths()) == (None, None, [])
    for step in (5, 12):
        path = run.checkpoint_folder / f"step-{step:08d}.safetensors"
        checkpoints.write(path, step, {"network/x": np.full(2, step, np.float32)}, {})
    (run.checkpoint_folder / "notes.txt").touch()
    assert [path.name for path in run.checkpoints().paths()] == [
        "step-00000005.safetensors",
        "step-00000012.safetensors",
    ]
    assert run.newest().step == 12
    assert run.newest_digest() == run.newest().digest
    run.checkpoints().paths()[-1].write_bytes(b"half")
    assert run.newest_digest() is None
    assert run.newest().step == 5


@dataclass(frozen=True)
class Component(Options):
    """A component of today."""

    rate: float = option(0.5, "A number that was always there.")
    blend: float = option(0.25, "One that was added later.")
    stages: tuple[int, ...] = option((2, 2), "Several, which JSON has as a list.")
    shrink: float = option(1.0, "One that had another name.", old_names=("scale", "factor"))
    file: str = option("", "A file.", path=True, recorded=content_of)
    shown: bool = option(True, "No matter.", affects_result=False)


def differing(before, others=None, **now):
    component = Component(**now)
    return changed(before, described([component]), component.options(), others)


WAS = {"rate": 0.5, "blend": 0.25, "stages": [2, 2], "shrink": 1.0, "file": ""}


def test_the_same_options_do_not_differ():
    assert differing(WAS) == []
    assert differing(WAS, shown=False) == []
    assert differing(WAS, rate=0.75, stages=(2, 3)) == [
        "rate=0.5 then, 0.75 now",
        "stages=[2, 2] then, [2, 3] now",
    ]


def test_an_option_that_was_added_later_had_its_default():
    before = {name: value for name, value in WAS.items() if name != "blend"}
    assert differing(before) == []
    assert differing(before, blend=0.5) == ["blend=0.25 then, 0.5 now"]
    before.pop("stages")
    assert differing(before) == []
    assert differing(before, stages=(1,)) == ["stages=[2, 2] then, [1] now"]


@pytest.mark.parametrize("old", ["scale", "factor"])
def test_an_option_that_was_renamed_is_known_by_its_old_names(old):
    before = {name: value for name, value in WAS.items() if name != "shrink"}
    assert differing({**before, old: 1.0}) == []
    assert differing({**before, old: 0.5}) == ["shrink=0.5 then, 1.0 now"]
    assert differing({**before, old: 0.5}, shrink=0.5) == []
    assert differing({**before, "shrink": 0.5, old: 1.0}, shrink=0.5) == []  # today's name counts


def test_an_option_that_is_not_known_is_named_unless_it_made_no_difference():
    """Of a later version, say; or of a space that is not searched: then its default is fine."""
    before = {**WAS, "colour": "red"}
    assert differing(before) == ["colour='red' then, not known now"]
    assert differing(before, {"colour": "red"}) == []
    assert differing(before, {"colour": "blue"}) == ["colour='red' then, 'blue' now"]
    assert differing(before, {"colour": ANYTHING}) == []
    assert differing(before, {"shape": "round"}) == ["colour='red' then, not known now"]


def test_what_is_no_option_and_was_not_recorded_yet():
    """Such as the name of the algorithm, of which there was one."""
    now = {**described([Component()]), "algorithm": "random"}
    found = changed(WAS, now, Component.options(), {"algorithm": "darts"})
    assert found == ["algorithm='darts' then, 'random' now"]
    assert not changed(
        WAS, {**now, "algorithm": "darts"}, Component.options(), {"algorithm": "darts"}
    )
    assert not changed({**WAS, "algorithm": "random"}, now, Component.options(), {})


def test_a_file_is_compared_by_its_content(tmp_path):
    """Wherever it lies, and also where an earlier version recorded its path."""
    for name, content in (("a", "1"), ("same", "1"), ("b", "2")):
        (tmp_path / name).write_text(content)
    a, same, b = (str(tmp_path / name) for name in ("a", "same", "b"))
    for recorded_of_a in (content_of(a), a):
        before = {**WAS, "file": recorded_of_a}
        assert differing(before, file=a) == differing(before, file=same) == []
        (found,) = differing(before, file=b)
        assert found == f"file={content_of(a)!r} then, {content_of(b)!r} now"
        (found,) = differing(before)
        assert found == f"file={content_of(a)!r} then, '' now"
    (tmp_path / "a").write_text("3")
    (found,) = differing({**WAS, "file": content_of(same)}, file=a)
    assert found.startswith("file='sha256:")


def test_the_content_of_a_file_a_folder_of_a_run_and_a_word(tmp_path):
    """``printf 1 | sha256sum``."""
    (tmp_path / "a").write_text("1")
    digest = "sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    assert content_of(str(tmp_path / "a")) == digest
    for word in ("", "imagenet", str(tmp_path / "none"), str(tmp_path), digest):
        assert content_of(word) == word
    run = RunFolder(tmp_path / "run")
    run.checkpoint_folder.mkdir(parents=True)
    for step, content in ((5, "0"), (12, "1")):
        (run.checkpoint_folder / f"step-{step:08d}.safetensors").write_text(content)
    assert content_of(str(run.path)) == digest


def test_initial_weights_are_compared_by_content_not_by_path(tmp_path, monkeypatch):
    """That of a run that was resumed since is another."""
    (tmp_path / "a").write_text("1")
    (tmp_path / "same").write_text("1")
    checkpointed(tmp_path / "run", settings=train(initial_weights=str(tmp_path / "a")))
    content = recorded(tmp_path / "run")["settings"]["initial_weights"]
    assert content == content_of(str(tmp_path / "a")) != str(tmp_path / "a")
    open_run(tmp_path / "run", train(initial_weights=str(tmp_path / "same")))
    monkeypatch.chdir(tmp_path)
    open_run(tmp_path / "run", train(initial_weights="same"))
    (tmp_path / "same").write_text("2")
    for other in ("same", "", "imagenet"):
        with pytest.raises(BadInput, match=rf"\(initial_weights='{content}' then, '"):
            open_run(tmp_path / "run", train(initial_weights=other))


def test_the_backbone_of_a_file_is_compared_by_content(tmp_path):
    """Its plan; a file of an architecture is that of its backbone, and the name of a ResNet is
    the ResNet's, which an earlier version recorded as an empty word."""

    def differing(before, **now):
        space = NormSpace(**now)
        return changed({**was, "backbone": before}, described([space]), space.options())

    was = described([NormSpace()])
    plan = CellPlan(EVERYTHING)
    EVERYTHING.save(tmp_path / "genotype.json")
    Architecture.separate(plan).save(tmp_path / "architecture.json")
    Architecture.shared("resnet18").save(tmp_path / "resnet.json")
    genotype, norms, resnet = (
        str(tmp_path / name) for name in ("genotype.json", "architecture.json", "resnet.json")
    )
    assert described([NormSpace(genotype)])["backbone"] == plan.to_json()
    for before in (plan.to_json(), genotype, norms):
        assert differing(before, backbone=genotype) == differing(before, backbone=norms) == []
        (found,) = differing(before, backbone="resnet18")
        assert found.startswith("backbone={") and found.endswith(" then, 'resnet18' now")
    assert differing("resnet18", backbone=resnet) == differing(resnet, backbone="resnet18") == []
    assert differing("") == differing("resnet50", backbone="") == []
    assert differing("", backbone="resnet18") == ["backbone='resnet50' then, 'resnet18' now"]
    other = replace(EVERYTHING, normal=EVERYTHING.reduction)
    other.save(tmp_path / "genotype.json")
    assert len(differing(plan.to_json(), backbone=genotype)) == 1


def test_every_old_name_is_of_one_option_alone():
    names = [n for known in Recipe.options() for n in (known.name, *known.old_names)]
    assert len(names) == len(set(names))
    assert all(isinstance(known, Option) for known in Recipe.options())

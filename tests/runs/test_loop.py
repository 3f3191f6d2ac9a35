"""The loop: which steps are done, when it saves, from where it resumes, and when it stops."""

import concurrent.futures
import os
import shutil
import signal
import threading

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.errors import BadInput, Stopped, TrainingDiverged
from cmnas_tf.runs import loop
from cmnas_tf.runs.checkpoints import Checkpoints
from cmnas_tf.runs.how_it_runs import Checkpointing
from cmnas_tf.runs.loop import Loop
from cmnas_tf.runs.run_folder import RunFolder
from tests.disks import room_for

STEPS_PER_EPOCH, EPOCHS = 3, 4
FIRST = "step-00000001.safetensors"


class Run:
    """A run whose state is a number: each step multiplies it by 2 and adds the step's batch, which
    is the step's number plus 1."""

    def __init__(self, folder, **changes):
        self.value = tf.Variable(0.0)
        self.asked, self.done, self.epochs = [], [], []
        self.total = lambda number: 1.0
        self.folder = folder
        self.loop = Loop(
            run=RunFolder(folder),
            strategy=tf.distribute.OneDeviceStrategy("CPU:0"),
            state={"network": {"value": self.value}},
            metadata={"name": "a run"},
            steps_per_epoch=STEPS_PER_EPOCH,
            epochs=EPOCHS,
            checkpointing=Checkpointing(
                checkpoint_every=changes.get("every", "epoch"),
                keep_checkpoints=changes.get("keep", 2),
            ),
            progress=changes.get("progress", False),
        )

    def start(self):
        self.loop.steps(self.batches, self.step, self.after_epoch)

    def batches(self, start, stop, share):
        self.asked.append((start, stop, share.first, share.count, share.of))
        return tf.data.Dataset.range(start + 1, stop + 1, output_type=tf.float32)

    def step(self, number, batch):
        self.done.append(number)
        self.value.assign(2 * self.value + batch)
        return {"weights": {"cross_entropy": tf.constant(0.5), "total": self.total(number)}}

    def after_epoch(self, epoch):
        self.epochs.append(epoch)
        return loop.Seen({"sites": float(len(self.epochs))}, f"separate {len(self.epochs)}")

    @property
    def steps(self):
        return [path.name for path in Checkpoints(self.folder / "checkpoints").paths()]


def test_every_step_is_done_once_with_its_own_batch(tmp_path):
    run = Run(tmp_path)
    run.start()
    assert run.done == list(range(12))
    assert run.asked == [(0, 12, 0, 1, 1)]
    assert run.value.numpy() == sum((n + 1) * 2 ** (11 - n) for n in range(12))


def test_a_gpus_terms_are_read_while_it_is_given_the_next_step(tmp_path, monkeypatch):
    """But before an epoch ends: what is saved must be known to be finite."""
    monkeypatch.setattr(loop, "steps_ahead", lambda strategy: 1)
    begun = [threading.Event() for _ in range(STEPS_PER_EPOCH * EPOCHS)]
    read, read_now = [], loop._read

    def read_late(computed, values):
        number = int(values[1])
        if (number + 1) % STEPS_PER_EPOCH:
            assert begun[number + 1].wait(60), "the loop waited for the terms"
        read.append(number)
        return read_now(computed, values)

    monkeypatch.setattr(loop, "_read", read_late)

    def total(number):
        begun[number].set()
        return float(number)

    def after_epoch(epoch):
        assert read == list(range(epoch * STEPS_PER_EPOCH))
        return loop.Seen()

    run = Run(tmp_path)
    run.total, run.after_epoch = total, after_epoch
    run.start()
    assert read == list(range(STEPS_PER_EPOCH * EPOCHS))


def test_what_a_gpu_was_given_after_a_term_that_is_not_finite_is_not_saved(tmp_path, monkeypatch):
    """Step 7, the second of an epoch, is read when step 8 was given; step 8 ends the epoch."""
    monkeypatch.setattr(loop, "steps_ahead", lambda strategy: 1)
    run = Run(tmp_path)
    run.total = lambda number: np.nan if number == 7 else 1.0
    with pytest.raises(TrainingDiverged, match="is nan at step 7 "):
        run.start()
    assert run.done[-1] == 8
    assert run.steps == ["step-00000003.safetensors", "step-00000006.safetensors"]


def test_every_epoch_is_saved_and_the_last_two_are_kept(tmp_path):
    run = Run(tmp_path)
    run.start()
    assert run.steps == ["step-00000009.safetensors", "step-00000012.safetensors"]
    newest = Checkpoints(tmp_path / "checkpoints").newest()
    assert newest.step == 12
    assert newest.metadata == {"name": "a run"}
    assert newest.tensors["network/value"] == run.value.numpy()
    assert run.epochs == [1, 2, 3, 4]


@pytest.mark.parametrize("last", [0, 2, 3, 7, 11])
def test_an_interrupted_run_resumes_from_its_last_checkpoint(tmp_path, last):
    """Ctrl-C in the step ``last``: what is done again and what not, and the same end."""
    undisturbed = Run(tmp_path / "undisturbed")
    undisturbed.start()
    first = Run(tmp_path / "run")

    def interrupt(number):
        if number == last:
            raise KeyboardInterrupt
        return 1.0

    first.total = interrupt
    with pytest.raises(KeyboardInterrupt):
        first.start()
    second = Run(tmp_path / "run")
    second.start()
    saved = last // STEPS_PER_EPOCH * STEPS_PER_EPOCH
    assert second.done == list(range(saved, 12))
    assert second.asked == [(saved, 12, 0, 1, 1)]
    assert second.value.numpy() == undisturbed.value.numpy()
    digests = [
        Checkpoints(run.folder / "checkpoints").newest().digest for run in (undisturbed, second)
    ]
    assert digests[0] == digests[1]


def test_a_finished_run_does_nothing_but_load(tmp_path):
    first, second = Run(tmp_path), Run(tmp_path)
    first.start()
    second.start()
    assert second.done == []
    assert second.value.numpy() == first.value.numpy()


def test_a_finished_run_removes_what_a_killed_process_had_no_time_to(tmp_path):
    """The oldest checkpoint, after the last one was written."""
    run = Run(tmp_path)
    run.start()
    kept = run.steps
    shutil.copyfile(tmp_path / "checkpoints" / kept[0], tmp_path / "checkpoints" / FIRST)
    assert run.steps == [FIRST, *kept]
    Run(tmp_path).start()
    assert run.steps == kept


def test_a_run_does_not_resume_from_a_checkpoint_of_another_network(tmp_path):
    Run(tmp_path).start()
    other = Run(tmp_path)
    other.loop.state["network"]["head.kernel"] = tf.Variable([0.0])
    with pytest.raises(BadInput, match=r"step-00000012.*network/head\.kernel is missing"):
        other.start()
    assert other.done == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_term_that_is_not_finite_stops_the_run(tmp_path, value):
    """In step 7, the second of epoch 3: the checkpoints of step 3 and 6 are kept."""
    run = Run(tmp_path)
    run.total = lambda number: value if number == 7 else 1.0
    with pytest.raises(TrainingDiverged) as error:
        run.start()
    assert f"term total of the weights objective is {value} at step 7 (epoch 3)" in str(error.value)
    assert "The last checkpoint is kept" in str(error.value)
    assert run.steps == ["step-00000003.safetensors", "step-00000006.safetensors"]
    assert run.done[-1] == 7


def test_before_the_first_checkpoint_none_is_promised(tmp_path):
    run = Run(tmp_path)
    run.total = lambda number: np.nan
    with pytest.raises(TrainingDiverged, match="No checkpoint was written yet"):
        run.start()
    assert run.steps == []


def logged(folder):
    """By tag and step what TensorBoard's logs say; each once."""
    found = {}
    for file in (folder / "tensorboard").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                by_step = found.setdefault(value.tag, {})
                assert event.step not in by_step, (value.tag, event.step)
                by_step[event.step] = float(tf.make_ndarray(value.tensor))
    return found


def cut(file):
    """As if the process had been killed while it wrote the last value."""
    file.write_bytes(file.read_bytes()[:-7])


@pytest.mark.parametrize("spoil", [lambda file: None, cut])
@pytest.mark.parametrize("stopped", [(1, 2), (7,), (4, 8, 10)])
def test_after_interruptions_each_step_is_logged_once(tmp_path, stopped, spoil):
    """Though what was done after the last checkpoint is done again; otherwise the log would show
    it twice."""
    for step in stopped:
        interrupted = Run(tmp_path)
        interrupted.total = lambda number, step=step: np.nan if number == step else float(number)
        with pytest.raises(TrainingDiverged):
            interrupted.start()
        spoil(max((tmp_path / "tensorboard").iterdir(), key=lambda file: file.stat().st_mtime_ns))
    run = Run(tmp_path)
    run.total = float
    run.start()
    found = logged(tmp_path)
    if spoil is not cut:
        assert found["weights_loss/total"] == {step: float(step) for step in range(12)}
        assert set(found["sites"]) == {2, 5, 8, 11}
    before = {file.name: file.read_bytes() for file in (tmp_path / "tensorboard").iterdir()}
    Run(tmp_path).start()
    assert before == {f.name: f.read_bytes() for f in (tmp_path / "tensorboard").iterdir()}


def test_terms_and_summaries_are_logged_by_step(tmp_path):
    run = Run(tmp_path)
    run.total = float
    run.start()
    found = logged(tmp_path)
    memory = found.pop("memory/process")
    assert set(memory) == {2, 5, 8, 11} and all(0.01 < gib < 100 for gib in memory.values())
    assert found == {
        "weights_loss/cross_entropy": dict.fromkeys(range(12), 0.5),
        "weights_loss/total": {step: float(step) for step in range(12)},
        "sites": {2: 1.0, 5: 2.0, 8: 3.0, 11: 4.0},
    }


def test_the_bar_shows_epoch_loss_and_summary_and_can_be_switched_off(tmp_path, capsys):
    Run(tmp_path / "quiet").start()
    assert capsys.readouterr().err == ""
    Run(tmp_path / "shown", progress=True).start()
    shown = capsys.readouterr().err
    assert "epoch 4/4" in shown
    assert "loss 1" in shown
    assert "ce 0.5" in shown
    assert "separate 4" in shown


def test_the_bar_shows_what_the_architecture_alone_follows(tmp_path, capsys):
    """Of a term that both follow, the weights'."""
    run = Run(tmp_path, progress=True)
    ordinary = run.step

    def step(number, batch):
        cost = {"cross_entropy": tf.constant(0.7), "expected_cost": tf.constant(0.25)}
        return {"architecture": cost, **ordinary(number, batch)}

    run.step = step
    run.start()
    shown = capsys.readouterr().err
    assert "cost 0.25" in shown and "ce 0.5" in shown and "ce 0.7" not in shown


def test_a_missing_batch_is_not_taken_for_the_end(tmp_path):
    """A data set that ends early would leave a run short of steps without a word."""
    run = Run(tmp_path)
    run.batches = lambda start, stop, share: tf.data.Dataset.range(
        1, stop - 1, output_type=tf.float32
    )
    with pytest.raises(ValueError, match="shorter"):
        run.start()


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_saves_the_step_it_is_in_and_resumes_to_the_same_end(tmp_path, asked):
    """In the middle of an epoch: step 4 is finished and saved, and the next run begins with 5."""
    undisturbed = Run(tmp_path / "undisturbed")
    undisturbed.start()
    first = Run(tmp_path / "run")
    own_step = first.step

    def step(number, batch):
        if number == 4:
            os.kill(os.getpid(), asked)
        return own_step(number, batch)

    first.step = step
    with pytest.raises(Stopped, match=f"{asked.name} after step 5") as stopped:
        first.start()
    assert stopped.value.signal is asked
    second = Run(tmp_path / "run")
    second.start()
    assert second.done == list(range(5, 12))
    assert second.value.numpy() == undisturbed.value.numpy()


def test_checkpoints_can_be_due_by_steps_and_there_is_one_at_the_end(tmp_path):
    run = Run(tmp_path, keep=9, every="5")
    run.start()
    assert run.steps == [f"step-{done:08d}.safetensors" for done in (5, 10, 12)]


def test_a_disk_without_room_for_the_log_is_named(tmp_path):
    """TensorFlow says it by errors of its own; and here, at once, or a few steps later."""
    for size in (0, 100, 300):
        run = Run(tmp_path / str(size))
        with (
            pytest.raises(OSError, match=r"^Cannot write .*tensorboard|TensorBoard"),
            room_for(size),
        ):
            run.start()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "tensorboard").touch()
    with pytest.raises(OSError, match=r"^Cannot write .*tensorboard: Not a directory"):
        Run(tmp_path / "taken").start()


def test_a_write_that_failed_ends_the_run_before_the_next_one_is_due(tmp_path, monkeypatch):
    """Of a checkpoint after each fifth step; what follows would be computed again."""
    save = Checkpoints.save

    def save_and_wait(self, *arguments):
        save(self, *arguments)
        concurrent.futures.wait([self._writing])

    monkeypatch.setattr(Checkpoints, "save", save_and_wait)
    monkeypatch.setattr(loop, "log", lambda *_: None)
    run = Run(tmp_path, every="5")
    with pytest.raises(OSError, match="File too large"), room_for(100):
        run.start()
    assert run.done == [0, 1, 2, 3, 4, 5]


def test_a_step_that_does_not_fit_says_what_takes_less_memory(tmp_path):
    """The checkpoints before it are kept."""

    def full(number):
        if number == 4:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating [128,64]\nHint")
        return 1.0

    run = Run(tmp_path)
    run.total = full
    with pytest.raises(
        BadInput, match=r"\(OOM when allocating \[128,64\]\)\. .* precision=bfloat16"
    ):
        run.start()
    assert run.steps == ["step-00000003.safetensors"]


def test_a_worker_that_is_not_the_chief_computes_and_writes_nothing(tmp_path, monkeypatch, capsys):
    """It begins where the chief's checkpoint is."""
    undisturbed = Run(tmp_path / "undisturbed")
    undisturbed.start()
    shutil.copytree(tmp_path / "undisturbed", tmp_path / "run")
    for path in Checkpoints(tmp_path / "run" / "checkpoints").paths()[1:]:
        path.unlink()
    remains = tmp_path / "run" / "checkpoints" / ".step-00000012.safetensors.1a2b3c4d.tmp"
    remains.touch()
    before = sorted((tmp_path / "run").rglob("*"))
    monkeypatch.setattr(loop, "is_chief", lambda _: False)
    worker = Run(tmp_path / "run", progress=True)
    worker.start()
    assert worker.done == [9, 10, 11]
    assert worker.value.numpy() == undisturbed.value.numpy()
    assert sorted((tmp_path / "run").rglob("*")) == before
    assert capsys.readouterr().err == ""


def test_a_worker_stops_after_the_step_in_which_another_was_asked_to(tmp_path, monkeypatch):
    answers = iter([None, None, None, signal.SIGTERM])
    monkeypatch.setattr(loop, "agreed_signal", lambda *_: next(answers))
    run = Run(tmp_path)
    with pytest.raises(Stopped, match="SIGTERM after step 4, which is saved"):
        run.start()
    assert run.done == [0, 1, 2, 3]
    assert run.steps[-1] == "step-00000004.safetensors"


def test_what_the_workers_must_agree_on_before_the_first_step(tmp_path, monkeypatch):
    """Where they begin, and from which weights."""
    seen = []
    monkeypatch.setattr(loop, "check_agreement", lambda _, find: seen.append(find()))
    Run(tmp_path).start()
    Run(tmp_path).start()
    other = Run(tmp_path / "other")
    other.value.assign(1.0)
    other.start()
    assert [facts["the newest checkpoint"] for facts in seen] == [0, 12, 0]
    assert len({facts["the weights"] for facts in seen}) == 3


""

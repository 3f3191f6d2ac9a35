"""A search that is disturbed in every way ends, bit for bit, as one that was left alone."""

import errno
import functools
import os
import random
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from cmnas_tf.data.split import Split
from cmnas_tf.runs import loop, run_folder
from cmnas_tf.runs.checkpoints import Checkpoints
from cmnas_tf.runs.loop import Loop
from tests.tiny_people import TINY, write_people
from tests.training.commands import Command, newest

pytestmark = pytest.mark.slow

EPOCHS, STEPS_PER_EPOCH = 24, 5
FLAGS = (*TINY, f"--epochs={EPOCHS}", "--warmup_epochs=1", "--checkpoint_every=1")


class Search:
    """A search in a folder, started again and again.

    Args:
      folder: everything is kept in it.
      people: the data set.
    """

    def __init__(self, folder, people):
        self.folder, self.people, self.starts = folder, people, 0

    @property
    def run_dir(self):
        return self.folder / "run"

    @property
    def done(self):
        """How many steps are saved."""
        paths = Checkpoints(self.run_dir / "checkpoints").paths()
        return int(paths[-1].stem.removeprefix("step-")) if paths else 0

    def start(self, fault=None):
        self.starts += 1
        log = self.folder / f"log{self.starts}"
        where = (f"--data_dir={self.people}", f"--run_dir={self.run_dir}")
        return Command("search", *FLAGS, *where, log=log, fault=fault)

    def outcome(self):
        """All that the search leaves: its last state, and every file but logs and the lock."""
        checkpoint = newest(self.run_dir)
        assert checkpoint.step == EPOCHS * STEPS_PER_EPOCH
        assert not list(self.run_dir.rglob("*.tmp"))
        logits = [x for name, x in checkpoint.tensors.items() if "architecture_logits" in name]
        assert all(logit.any() for logit in logits)
        files = ("architecture.json", "architecture.cfg", "split.json", "run.json")
        return checkpoint.digest, [(self.run_dir / name).read_bytes() for name in files]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return write_people(tmp_path_factory.mktemp("people") / "sysu")


@pytest.fixture(scope="module")
def undisturbed(people, tmp_path_factory):
    search = Search(tmp_path_factory.mktemp("undisturbed"), people)
    code, said = search.start().wait()
    assert code == 0, said
    return search.outcome()


# Where a process is killed: before its first step, in a step, or in the write of a checkpoint.
BEGINNING = ("started", "described", "split", "built", "restored")
IN_STEP = ("computed", "saving")
IN_WRITE = ("half written", "written", "renamed")


def dying(moment, number):
    """Kills the process there; of steps and writes, in its n-th."""
    kill = functools.partial(os.kill, os.getpid(), signal.SIGKILL)
    if moment == "started":
        kill()
    places = {
        "described": (run_folder, "write_json"),
        "split": (Split, "save"),
        "built": (Loop, "steps"),
        "restored": (loop, "check_agreement"),
        "computed": (Loop, "_check_finite"),
        "saving": (Checkpoints, "save"),
    }
    before, after = ("built", "restored", "computed"), ("described", "split", "saving")
    if moment in places:
        place, name = places[moment]
        function, calls = getattr(place, name), []

        def dying_in_call(*arguments):
            calls.append(arguments)
            last = len(calls) == number or moment in BEGINNING
            if last and moment in before:
                kill()
            found = function(*arguments)
            if last and moment in after:
                kill()
            return found

        setattr(place, name, dying_in_call)
    if moment in IN_WRITE:
        _dying_in_write(kill, moment, number)


def _dying_in_write(kill, moment, number):
    write_bytes, replace, writes = Path.write_bytes, Path.replace, []

    def dying_write_bytes(self, data):
        if self.name.startswith(".step-"):
            writes.append(self)
            if len(writes) == number and moment == "half written":
                write_bytes(self, data[: len(data) // 2])
                kill()
        return write_bytes(self, data)

    def dying_replace(self, target):
        last = self.name.startswith(".step-") and len(writes) == number
        if last and moment == "written":
            kill()
        replace(self, target)
        if last and moment == "renamed":
            kill()

    Path.write_bytes, Path.replace = dying_write_bytes, dying_replace


def test_killed_at_twenty_moments(people, undisturbed, tmp_path):
    """Five times before the first step, ten times among the steps, five times inside a write; in
    one search, which gets a little further each time."""
    chance, search = random.Random(0), Search(tmp_path, people)
    moments = [*BEGINNING, *5 * IN_STEP, *IN_WRITE, *chance.choices(IN_WRITE, k=2)]
    chance.shuffle(moments)
    for moment in moments:
        number, before = chance.randint(1, 3), search.done
        code, said = search.start(functools.partial(dying, moment, number)).wait()
        gained = search.done - before
        assert code == -signal.SIGKILL, (moment, number, said)
        # What is saved in the background may or may not be there; what was saved before it is.
        fewest = {"computed": number - 2, "renamed": number}.get(moment, number - 1)
        most = number if moment in ("saving", "renamed") else number - 1
        if moment in BEGINNING:
            fewest = most = 0
        assert max(fewest, 0) <= gained <= most, (moment, number, gained)
    code, said = search.start().wait()
    assert code == 0, said
    assert search.outcome() == undisturbed


def failing_disk(number):
    """From the n-th checkpoint on, the disk is full when half of it is written."""
    write_bytes, writes = Path.write_bytes, []

    def full(self, data):
        if self.name.startswith(".step-"):
            writes.append(self)
            if len(writes) >= number:
                write_bytes(self, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(self, data)

    Path.write_bytes = full


def deleting(path, step):
    """Deletes an image when the checkpoint after a step is due."""
    save = Checkpoints.save

    def save_and_delete(self, number, *arguments):
        if number == step:
            path.unlink()
        return save(self, number, *arguments)

    Checkpoints.save = save_and_delete


def spoiling(step):
    """Fills the images of one step with NaN."""
    import tensorflow as tf

    from cmnas_tf.data.pipeline import Batch
    from cmnas_tf.training import inputs

    training_batches = inputs.training_batches

    def spoiled(source, sampler, augmentation, start, *rest):
        def spoil(place, batch):
            factor = tf.where(start + place == step, np.float32(np.nan), 1.0)
            return Batch({m: x * factor for m, x in batch.images.items()}, batch.labels)

        batches = training_batches(source, sampler, augmentation, start, *rest)
        return batches.enumerate().map(spoil)

    inputs.training_batches = spoiled


def test_a_full_disk_a_lost_image_a_nan_and_a_damaged_checkpoint(people, undisturbed, tmp_path):
    """One after the other in one search: each is said, and what was saved before it is kept."""
    spoiled = shutil.copytree(people, tmp_path / "people")
    search = Search(tmp_path, spoiled)
    code, said = search.start(functools.partial(failing_disk, 4)).wait()
    assert code == 2, said
    assert search.done == 3
    full = search.run_dir / "checkpoints" / "step-00000004.safetensors"
    assert f"error: No space left on device ({full}). Nothing half-written was left" in said
    assert not list(search.run_dir.rglob("*.tmp"))

    image = spoiled / "cam1" / "0001" / "0001.jpg"
    content = image.read_bytes()
    code, said = search.start(functools.partial(deleting, image, 2 * STEPS_PER_EPOCH)).wait()
    assert code == 2, said
    assert f"error: Cannot read {image}: the file does not exist" in said
    assert 2 * STEPS_PER_EPOCH <= search.done < EPOCHS * STEPS_PER_EPOCH
    image.write_bytes(content)

    last = search.done + 3
    code, said = search.start(functools.partial(spoiling, last)).wait()
    assert code == 3, said
    assert f"objective is nan at step {last} " in said
    assert "The last checkpoint is kept" in said
    assert search.done == last

    older, damaged = Checkpoints(search.run_dir / "checkpoints").paths()
    damaged.write_bytes(damaged.read_bytes()[:-100])
    code, said = search.start().wait()
    assert code == 0, said
    assert f"warning: {damaged} is not a checkpoint of this program, or it is truncated" in said
    assert not older.exists()
    assert search.outcome() == undisturbed


def test_deterministic_runs_are_equal_bit_by_bit(people, tmp_path):
    """With the kernels that need not be deterministic on a GPU refused, and replaced."""
    digests = []
    for name in ("one", "other"):
        flags = (*TINY, "--epochs=1", "--deterministic", f"--data_dir={people}")
        folder = tmp_path / name
        process = Command("train", *flags, f"--run_dir={folder}", log=tmp_path / f"{name}.log")
        code, said = process.wait()
        assert code == 0, said
        digests.append(newest(folder).digest)
    assert digests[0] == digests[1]

"""Search, training and evaluation as a user runs them, on synthetic people, in processes."""

import json
import math
import shutil
import signal
import subprocess

import numpy as np
import pytest

from cmnas_tf.architecture import Architecture
from cmnas_tf.commands import command_line
from cmnas_tf.commands.train import Train
from cmnas_tf.runs import checkpoints
from cmnas_tf.runs.checkpoints import Checkpoints
from cmnas_tf.training.inputs import TrainingImages
from tests.end_to_end.processes import run, start
from tests.tiny_people import TINIEST, write_people
from tests.training.commands import newest

pytestmark = pytest.mark.slow

EPOCHS = (*TINIEST, "--epochs=2")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """SYSU-MM01 with 8 + 4 people, two images from each camera."""
    return write_people(tmp_path_factory.mktemp("data") / "sysu")


@pytest.fixture(scope="module")
def searched(data, tmp_path_factory):
    """A search of two epochs, the second of which moves the architecture; undisturbed."""
    folder = tmp_path_factory.mktemp("runs") / "search"
    run("search", *EPOCHS, "--warmup_epochs=1", f"--data_dir={data}", f"--run_dir={folder}")
    return folder


@pytest.fixture(scope="module")
def trained(data, searched, tmp_path_factory):
    """A training of the architecture that was found."""
    folder = tmp_path_factory.mktemp("runs") / "train"
    architecture = f"--architecture={searched / 'architecture.json'}"
    run("train", *EPOCHS, architecture, f"--data_dir={data}", f"--run_dir={folder}")
    return folder


def logits_of(folder):
    tensors = newest(folder).tensors
    return {name: x for name, x in tensors.items() if name.endswith("architecture_logits")}


def test_a_search_leaves_an_architecture_and_all_it_came_from(searched):
    """8 identities with 8 visible and 4 infrared images, half of them for the weights: 32 visible
    ones in batches of 4 x 2 make 5 steps an epoch."""
    assert {path.name for path in searched.iterdir()} == {
        "architecture.cfg",
        "architecture.json",
        "architectures",
        "checkpoints",
        "latency.json",
        "run.json",
        "run.lock",
        "split.json",
        "tensorboard",
    }
    architecture = Architecture.load(searched / "architecture.json", "tiny_resnet")
    assert (searched / "architecture.cfg").read_text() == architecture.to_cfg() + "\n"
    provenance = architecture.provenance
    assert provenance["settings"]["seed"] == 0
    assert provenance["versions"]["tensorflow"]
    split = json.loads((searched / "split.json").read_text())
    assert (len(split["weights"]), len(split["architecture"])) == (8 * 6, 8 * 6)
    assert newest(searched).step == 10
    logits = logits_of(searched)
    assert len(logits) == len(architecture.choices) == 6
    assert all(logit.any() for logit in logits.values())
    for site, probability in provenance["probability_of_separate"].items():
        name = f"network/backbone.{_path_of(site)}.architecture_logits"
        separate, shared = logits[name].tolist()
        assert probability == pytest.approx(1 / (1 + math.exp(shared - separate)))
        assert (architecture.choices[site] == "separate") == (separate > shared)

    after = searched / "architectures"
    assert [path.name for path in sorted(after.iterdir())] == ["epoch_0001.json", "epoch_0002.json"]
    first, last = (Architecture.load(path, "tiny_resnet") for path in sorted(after.iterdir()))
    probabilities = [a.provenance["probability_of_separate"] for a in (first, last, architecture)]
    assert probabilities[0] != probabilities[1] == probabilities[2]
    assert last.choices == architecture.choices


def _path_of(site):
    """Where a site's norm hangs in the network: ``layer1.0.downsample`` has its norm as ``bn``."""
    return {"stem": "bn1"}.get(site, f"{site}.bn" if site.endswith("downsample") else site)


def test_a_resumed_search_ends_as_an_undisturbed_one(data, searched, tmp_path):
    """Ctrl-C when the first checkpoint appears, in the second epoch; then the same command again.
    Bit for bit."""
    folder = tmp_path / "search"
    flags = (*EPOCHS, "--warmup_epochs=1", f"--data_dir={data}", f"--run_dir={folder}")
    process = start("search", *flags)
    while process.poll() is None and not Checkpoints(folder / "checkpoints").paths():
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert "Rerun the same command to resume" in err
    assert "Traceback" not in err
    assert out == ""
    assert 5 <= newest(folder).step < 10  # the step it was in is finished and saved
    assert not (folder / "architecture.json").exists()
    assert not list(folder.rglob("*.tmp"))

    run("search", *flags)
    one, other = newest(searched), newest(folder)
    assert (other.step, other.digest) == (one.step, one.digest)
    assert {k: x.tobytes() for k, x in logits_of(folder).items()} == {
        k: x.tobytes() for k, x in logits_of(searched).items()
    }
    for name in ("architecture.json", "architecture.cfg", "split.json", "run.json"):
        assert (folder / name).read_bytes() == (searched / name).read_bytes()


def test_a_finished_search_started_again_changes_nothing(data, searched):
    before = {path: path.read_bytes() for path in searched.glob("*.*")}
    digest = newest(searched).digest
    run("search", *EPOCHS, "--warmup_epochs=1", f"--data_dir={data}", f"--run_dir={searched}")
    assert newest(searched).digest == digest
    assert {path: path.read_bytes() for path in searched.glob("*.*")} == before


def test_the_search_moves_nothing_but_weights_while_it_warms_up(searched):
    """The first checkpoint is that of the warm-up's end: every logit is 0 and has no moments."""
    first = checkpoints.read(Checkpoints(searched / "checkpoints").paths()[0])
    assert first.step == 5
    for name, tensor in first.tensors.items():
        if name.endswith("architecture_logits") or name.startswith("architecture_optimizer/"):
            assert not tensor.any(), name


def test_a_training_keeps_live_and_averaged_weights_of_the_architecture(searched, trained):
    """32 + 32 visible images in batches of 4 x 2: 9 steps an epoch."""
    found = newest(trained)
    assert found.step == 18
    architecture = json.loads((searched / "architecture.json").read_text())
    assert found.metadata["specification"]["architecture"]["choices"] == architecture["choices"]
    assert found.metadata["settings"]["seed"] == 0
    parts = {}
    for name in found.tensors:
        part, _, rest = name.partition("/")
        parts.setdefault(part, set()).add(rest)
    assert set(parts) == {"network", "average", "weight_optimizer"}
    assert parts["network"] == parts["average"]
    kernel = "backbone.conv1.kernel"
    assert (found.tensors[f"network/{kernel}"] != found.tensors[f"average/{kernel}"]).any()


def test_an_evaluation_writes_and_shows_results(data, trained):
    out, _ = run("evaluate", f"--data_dir={data}", f"--run_dir={trained}", "--noprogress")
    results = json.loads((trained / "results.json").read_text())
    assert set(results) == {
        "schema",
        "dataset",
        "protocol",
        "checkpoint",
        "architecture",
        "training",
        "evaluation",
        "results",
        "chance",
    }
    assert results["checkpoint"]["sha256"] == newest(trained).digest
    assert results["training"]["planned_steps"] == results["checkpoint"]["step"] == 18
    assert results["protocol"]["gallery_sampling"] == "seeded"
    measured = results["results"]["all_single_shot"]
    assert len(measured["trials"]) == 10
    assert 0 <= measured["rank1"] <= measured["rank5"] == 1.0  # of four people
    assert f"{100 * measured['mAP']:.2f}" in out
    # Nothing is drawn at random: a second evaluation writes the same file.
    before = (trained / "results.json").read_bytes()
    run("evaluate", f"--data_dir={data}", f"--run_dir={trained}", "--noprogress")
    assert (trained / "results.json").read_bytes() == before


def test_an_unreadable_image_in_the_middle_of_a_training(data, searched, trained, tmp_path):
    """One that the second epoch is the first to draw: the first epoch's checkpoint is kept, and
    when the image is mended the same command comes to the undisturbed end."""
    spoiled, folder = shutil.copytree(data, tmp_path / "data"), tmp_path / "run"
    architecture = f"--architecture={searched / 'architecture.json'}"
    flags = (*EPOCHS, architecture, f"--data_dir={spoiled}", f"--run_dir={folder}")
    command = command_line.read(Train, ["train", *flags])
    training = TrainingImages(command.data.load("train"), command.recipe, command.run.seed)
    sampler = training.sampler(training.dataset.train, stream=0)
    rows = [set(np.concatenate([*sampler.draw(step).rows.values()])) for step in range(18)]
    row = min(set.union(*rows[9:]) - set.union(*rows[:9]))
    path = spoiled / training.dataset.train.paths[row]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    _, err = run("train", *flags, code=2)
    assert f"error: Cannot read {path}: not a complete JPEG" in err
    assert newest(folder).step == 9
    path.write_bytes(content)
    run("train", *flags)
    assert newest(folder).digest == newest(trained).digest


def test_a_loss_that_is_not_finite(data, tmp_path):
    """Exit code 3; the message names the term and the step; nothing half-written is left."""
    folder = tmp_path / "run"
    rates = ("--backbone_learning_rate=1e30", "--head_learning_rate=1e30")
    _, err = run("train", *EPOCHS, *rates, f"--data_dir={data}", f"--run_dir={folder}", code=3)
    assert "The term cross_entropy of the weights objective is" in err
    assert "at step 1 (epoch 1)" in err
    assert "No checkpoint was written yet" in err
    assert Checkpoints(folder / "checkpoints").paths() == []
    assert not list(folder.rglob("*.tmp"))


def test_a_loss_that_stops_being_finite_keeps_the_last_checkpoint(
    data, searched, trained, tmp_path
):
    """As if the first of the two epochs had driven a weight towards infinity."""
    folder = shutil.copytree(trained, tmp_path / "run")
    first, second = Checkpoints(folder / "checkpoints").paths()
    second.unlink()
    found = checkpoints.read(first)
    tensors = dict(found.tensors)
    kernel = tensors["network/head.classifier.kernel"]
    tensors["network/head.classifier.kernel"] = np.full_like(kernel, 3e38)
    checkpoints.write(first, found.step, tensors, found.metadata)
    before = first.read_bytes()
    architecture = f"--architecture={searched / 'architecture.json'}"
    flags = (*EPOCHS, architecture, f"--data_dir={data}", f"--run_dir={folder}")
    _, err = run("train", *flags, code=3)
    assert "at step 9 (epoch 2). The last checkpoint is kept" in err
    assert [path.name for path in (folder / "checkpoints").iterdir()] == [first.name]
    assert first.read_bytes() == before


def test_an_unknown_flag_and_a_missing_folder(tmp_path):
    """What the in-process tests check of the others, as ``python -m`` does it."""
    for command, flags, message in (
        ("search", ["--epoch=3"], "Unknown command line flag 'epoch'"),
        ("train", [f"--data_dir={tmp_path / 'none'}", f"--run_dir={tmp_path}"], "none does not"),
    ):
        process = start(command, *flags)
        _, err = process.communicate()
        assert process.returncode == 2
        assert err.strip().startswith("error: ") and message in err, err
        assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []

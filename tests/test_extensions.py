"""A loss, a data set and a search algorithm of another package: one registration each.

Everything else follows from it: flags, help, checks, the progress bar, TensorBoard, a study's arms.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.commands import command_line, help
from cmnas_tf.commands.evaluate import Evaluate
from cmnas_tf.commands.search import Search
from cmnas_tf.commands.train import Train
from cmnas_tf.data import LAYOUTS, Layout, SingleQuery, load_dataset, register_dataset
from cmnas_tf.data.index import Dataset, Image, Images
from cmnas_tf.devices.devices import Devices
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.evaluate import evaluate_network
from cmnas_tf.losses import LOSSES, Loss, Objective, register_loss
from cmnas_tf.losses.objective import short_name
from cmnas_tf.options import option
from cmnas_tf.search_spaces import NormSpace
from cmnas_tf.searching import ALGORITHMS, SearchAlgorithm
from cmnas_tf.searching.search import find_architecture
from cmnas_tf.studies.arms import searches
from cmnas_tf.training.train import train_network
from tests.tiny_people import TINY, write_people

pytestmark = pytest.mark.slow


@pytest.fixture
def spread():
    """A loss of another package: the squared size of the embeddings."""

    @register_loss("spread", title="spread of the embeddings.", short="spr")
    @dataclass(frozen=True)
    class Spread(Loss):
        """Mean square of the embeddings, to a power."""

        spread_power: float = option(1.0, "Power of the spread.", minimum=1)

        def __call__(self, batch):
            embeddings = tf.concat([part.embedding for part in batch.outputs.values()], axis=0)
            return tf.reduce_mean(tf.square(embeddings)) ** self.spread_power

    yield Spread
    LOSSES.unregister("spread")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return write_people(tmp_path_factory.mktemp("data") / "sysu")


def tiny(command, people, *flags):
    return command_line.read(
        command, ["x", f"--data_dir={people}", "--run_dir=unused", *TINY, *flags]
    )


def test_a_loss_of_another_package(spread, people, tmp_path, capfd):
    """Its flags, its bounds, its place in the help and in the bar, its column in TensorBoard, the
    study's arm without it; and it is trained by."""
    text = help.help_text(Train)
    assert "--spread_weight" in text and "--spread_power=NUMBER, at least 1" in text
    assert "--architecture_spread_weight" in help.help_text(Search)
    assert short_name("spread") == "spr"
    assert searches()["no_spread"] == {"architecture_spread_weight": 0.0}
    with pytest.raises(BadInput, match=r"--spread_power=0\.5 is out of range"):
        tiny(Train, people, "--spread_power=0.5")
    recipe = tiny(Train, people, "--spread_weight=0.1", "--spread_power=2", "--epochs=1").recipe
    assert recipe.objective == Objective(spread=0.1, spread_power=2)

    model = train_network(
        load_dataset("sysu_mm01", people),
        tiny(Train, people).network.make(),
        recipe,
        run_dir=tmp_path / "run",
        width=0.0625,
        devices=Devices(strategy="one_device"),
    )
    assert model.checkpoint.metadata["settings"]["spread_weight"] == 0.1
    assert "spr " in capfd.readouterr().err
    tags = {
        value.tag
        for file in (tmp_path / "run" / "tensorboard").iterdir()
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    }
    assert "weights_loss/spread" in tags


def test_a_loss_that_is_there_already(spread):
    with pytest.raises(BadInput, match=r"There is a loss 'spread' already .* another name"):
        register_loss("spread", title="another.", short="x")(spread)


def load_numbers(root, trial):
    """Images called ``PPPP_C.jpg``, the first of each person for the query."""
    images = []
    for path in sorted(root.glob("[0-9]*.jpg")):
        pid, camera = map(int, path.stem.split("_"))
        role = "" if pid < 3 else ("query" if camera == 1 else "gallery")
        images.append(Image(path.name, pid, camera, "visible", role))
    train, test = ([i for i in images if bool(i.role) is tested] for tested in (False, True))
    return Dataset("numbers", root, Images.of(train), Images.of(test), trial=trial)


@pytest.fixture
def numbers(tmp_path):
    """A data set of another package, and a folder of it."""
    layout = Layout(
        title="Numbers",
        load=load_numbers,
        tree="PPPP_C.jpg",
        marks=("numbers.txt",),
        protocol=SingleQuery,
    )
    register_dataset("numbers", layout)
    root = tmp_path / "numbers"
    root.mkdir()
    (root / "numbers.txt").touch()
    random = np.random.default_rng(0)
    for pid in range(1, 5):
        for camera in (1, 2, 3):
            pixels = random.integers(0, 256, (32, 16, 3), np.uint8)
            (root / f"{pid:04d}_{camera}.jpg").write_bytes(tf.io.encode_jpeg(pixels).numpy())
    yield root
    LAYOUTS.unregister("numbers")


def test_a_data_set_of_another_package(numbers):
    """It is a choice of every command, trained on, and evaluated by its own protocol."""
    assert "|numbers" in help.help_text(Evaluate)
    flags = ("--dataset=numbers", "--identities_per_batch=2", "--epochs=1", "--average_decay=0")
    command = tiny(Train, numbers, *flags)
    dataset = command.data.load("train")
    assert (len(dataset.train), len(dataset.test)) == (6, 6)
    model = train_network(
        dataset,
        command.network.make(),
        command.recipe,
        width=0.0625,
        devices=Devices(strategy="one_device"),
        progress=False,
    )
    scores = evaluate_network(model, dataset, devices=Devices(strategy="one_device"))
    assert list(scores) == ["single_query"]
    assert scores["single_query"].trials["single_query"].counts.counted == 2
    assert 0 <= scores.rank1 <= 1


def test_a_registration_that_lacks_its_protocol(tmp_path):
    layout = Layout(title="Half", load=load_numbers, tree="", marks=("x",), protocol=None)
    with pytest.raises(BadInput, match="protocol"):
        register_dataset("half", layout)
    assert "half" not in LAYOUTS


@pytest.fixture
def all_alike():
    """A search algorithm of another package, which looks at nothing."""

    @dataclass(frozen=True, kw_only=True)
    class AllAlike(SearchAlgorithm):
        """Takes the architecture that a seed draws."""

        draw: int = option(7, "Seed of the architecture.", minimum=0)

        def search(self, task):
            return task.space.random(self.draw)

    ALGORITHMS.register("all_alike", AllAlike)
    yield AllAlike
    ALGORITHMS.unregister("all_alike")


def test_an_algorithm_of_another_package(all_alike, people, tmp_path):
    """It is a choice of the search, with its own options, and its run is described and resumed."""
    assert "--draw=INTEGER, at least 0" in help.help_text(Search)
    command = tiny(Search, people, "--algorithm=all_alike", "--draw=3", "--split=identities")
    algorithm = command.algorithm.make()
    with pytest.raises(BadInput, match="warmup_epochs=3 means nothing to algorithm=all_alike"):
        tiny(Search, people, "--algorithm=all_alike", "--warmup_epochs=3").algorithm.make()

    def search(algorithm):
        return find_architecture(
            load_dataset("sysu_mm01", people),
            NormSpace("resnet18", width=0.0625),
            algorithm,
            run_dir=tmp_path / "run",
            devices=Devices(strategy="one_device"),
            progress=False,
        )

    found = search(algorithm)
    assert found.architecture == NormSpace("resnet18").random(3)
    assert search(algorithm).architecture == found.architecture
    assert found.run.architecture.is_file()

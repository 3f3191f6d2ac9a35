"""``cmnas evaluate``: what it is given, and where results go."""

import json
import shutil
from dataclasses import asdict

import pytest

from cmnas_tf.commands import command_line, evaluate
from cmnas_tf.commands.evaluate import Evaluate
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation import evaluate as of_package
from cmnas_tf.evaluation.compare import rows
from cmnas_tf.evaluation.results_file import read_results
from cmnas_tf.files import write_json
from cmnas_tf.runs.run_folder import Description
from cmnas_tf.tables import formatted
from tests.evaluation.records import record
from tests.evaluation.test_evaluate import tiny_network, write_run
from tests.tiny_people import write_people

pytestmark = pytest.mark.usefixtures("one_block_throughout")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """RegDB with 2 + 4 people."""
    root = tmp_path_factory.mktemp("data") / "regdb"
    return write_people(root, dataset="regdb", train_identities=2)


@pytest.fixture
def run_dir(tmp_path):
    """A run of a network that was not trained, on trial 2 as it says."""
    write_run(tmp_path / "run", tiny_network())
    return tmp_path / "run"


@pytest.fixture
def run(data, capsys):
    """Runs the command; gives what it printed."""

    def run(*flags):
        own = (f"--data_dir={data}", "--dataset=regdb", "--trial=2", "--noprogress")
        evaluate.main(command_line.read(Evaluate, ["evaluate", *own, *map(str, flags)]))
        return capsys.readouterr().out

    return run


def test_results_are_printed_and_written_to_the_run(run, run_dir):
    said = run(f"--run_dir={run_dir}")
    results = read_results(run_dir)
    assert said.startswith("regdb, trial 2, direction both, flip_average off, rerank off; average")
    assert f"\nwritten to {run_dir / 'results' / 'regdb-trial_2-step_3-'}" in said
    for found in results["results"].values():
        assert f"{100 * found['mAP']:.2f}" in said


def test_no_evaluation_takes_the_place_of_another(run, run_dir):
    """Nor of what an earlier version left; but for the very same, which says so."""
    earlier = run_dir / "results.json"
    earlier.write_text(json.dumps(record()))
    before = earlier.read_bytes()
    for flags in ((), ("--direction=infrared_to_visible",), ("--flip_average",)):
        assert "in place of" not in run(f"--run_dir={run_dir}", *flags)
    assert len(list((run_dir / "results").iterdir())) == 3
    said = run(f"--run_dir={run_dir}", "--flip_average")
    assert said.endswith("in place of an earlier evaluation of the same; its scores are the same\n")
    assert len(list((run_dir / "results").iterdir())) == 3
    assert earlier.read_bytes() == before


def test_a_training_that_was_not_finished(run, run_dir):
    """Said on the screen, written down, and marked where results are listed."""
    write_json(run_dir / "run.json", asdict(Description("train", "x", {}, 1, steps=5)))
    assert "\nthe training was not finished: step 3 of 5\n" in run(f"--run_dir={run_dir}")
    assert read_results(run_dir)["training"]["planned_steps"] == 5
    assert "3 of 5, unfinished" in formatted(rows([str(run_dir)]), "text")
    write_json(run_dir / "run.json", asdict(Description("train", "x", {}, 1, steps=3)))
    assert "not finished" not in run(f"--run_dir={run_dir}")
    assert read_results(run_dir)["training"]["planned_steps"] == 3


def test_all_standard_protocols_of_images_that_are_embedded_once(tmp_path, capsys, monkeypatch):
    """SYSU-MM01 by four protocols, and by eight with both samplings: the figures are those of each
    alone."""
    sysu = write_people(tmp_path / "sysu", train_identities=2, images_per_camera=10)
    write_run(tmp_path / "net", tiny_network(), {})
    embedded = []
    embed = of_package.embed_on_devices

    def embed_once(*arguments):
        embedded.append(arguments)
        return embed(*arguments)

    monkeypatch.setattr(of_package, "embed_on_devices", embed_once)
    own = ("--noprogress", f"--data_dir={sysu}", f"--run_dir={tmp_path / 'net'}")

    def run(*flags):
        evaluate.main(command_line.read(Evaluate, ["evaluate", *own, *flags]))
        return capsys.readouterr().out

    said = run("--protocols=all")
    assert said.startswith("sysu_mm01, mode all, shots 1, trials 10, gallery_sampling seeded, flip")
    assert len(embedded) == 1 and said.count("written to ") == 8
    found = {file: read_results(file) for file in (tmp_path / "net" / "results").iterdir()}
    protocols = [record["protocol"] for record in found.values()]
    assert {(p["mode"], p["shots"], p["gallery_sampling"]) for p in protocols} == {
        (mode, shots, sampling)
        for mode in ("all", "indoor")
        for shots in (1, 10)
        for sampling in ("seeded", "official")
    }
    again = run("--protocols=standard", "--gallery_sampling=official")
    assert again.count("of the same; its scores are the same") == 4
    assert "its scores are the same" in run("--mode=indoor", "--shots=10")


def test_what_is_given_is_measured(run, run_dir, tmp_path):
    """A checkpoint by its file, the live weights, one direction; results go to the run's folder
    that is named."""
    (checkpoint,) = (run_dir / "checkpoints").iterdir()
    run(
        *(f"--checkpoint={checkpoint}", f"--run_dir={tmp_path / 'other'}", "--weights=live"),
        *("--direction=infrared_to_visible", "--flip_average", "--embed_batch=3"),
        *("--precision=bfloat16", "--strategy=one_device"),
    )
    assert not (run_dir / "results.json").exists()
    results = read_results(tmp_path / "other")
    assert list(results["results"]) == ["infrared_to_visible"]
    assert results["checkpoint"]["weights"] == "live"
    assert results["protocol"]["flip_average"] is True
    assert results["evaluation"]["settings"]["precision"] == "bfloat16"


def test_where_results_of_a_checkpoint_go(run, run_dir, tmp_path):
    """Into its run; beside the file where that lies in none."""
    (checkpoint,) = (run_dir / "checkpoints").iterdir()
    (tmp_path / "elsewhere").mkdir()
    copied = shutil.copy(checkpoint, tmp_path / "elsewhere")
    for given, file, folder in (
        (checkpoint, checkpoint, run_dir),
        (run_dir, checkpoint, run_dir),
        (copied, copied, tmp_path / "elsewhere"),
    ):
        run(f"--checkpoint={given}")
        assert read_results(folder)["checkpoint"]["file"] == str(file)


@pytest.fixture
def truncated(data):
    """A test image of trial 2 that ends too early; its path in the data set."""
    path = (data / "idx" / "test_thermal_2.txt").read_text().split()[0]
    content = (data / path).read_bytes()
    (data / path).write_bytes(content[:100])
    yield path
    (data / path).write_bytes(content)


def test_an_unreadable_image_is_left_out_when_asked(run, run_dir, truncated):
    """Else nothing is written."""
    with pytest.raises(BadInput, match=f"{truncated}: not a complete"):
        run(f"--run_dir={run_dir}")
    assert not (run_dir / "results.json").exists()
    run(f"--run_dir={run_dir}", "--skip_unreadable")
    assert read_results(run_dir)["dataset"]["left_out"] == [truncated]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Give `run_dir` of a training, or `checkpoint`"),
        (["--data_dir="], "--data_dir is missing. Folder of the data set"),
    ],
)
def test_what_it_needs(run, flags, message):
    with pytest.raises(BadInput, match=message):
        run(*flags)

"""Both searches in networks of cells, as a user runs them, on synthetic people, in processes."""

import json

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.architecture import Architecture
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.runs.checkpoints import Checkpoints
from tests.end_to_end.processes import run
from tests.models.genotypes import EVERYTHING
from tests.tiny_people import TINY, write_people

pytestmark = pytest.mark.slow

SMALL = (*TINY[1:], "--identities_per_batch=2", "--epochs=1")


def people(folder, dataset):
    """2 + 2 people; where the data set has them, a distractor and an image that is junk."""
    few = {"train_identities": 2, "test_identities": 2, "distractors": 1, "junk": 1}
    return write_people(folder, dataset=dataset, **few)


def test_search_for_cells_train_and_evaluate(tmp_path):
    """Of one modality. What the search says of the cost is what the training has as weights."""
    data = ("--dataset=market1501", f"--data_dir={people(tmp_path / 'data', 'market1501')}")
    searched, trained = tmp_path / "search", tmp_path / "train"
    space = ("--search_space=reid_cells", "--cells=1,1", "--warmup_epochs=0")
    out, _ = run("search", *SMALL, *data, *space, f"--run_dir={searched}")
    found = Architecture.load(searched / "architecture.json")
    assert found.backbone.cells == (1, 1)
    assert str(found.backbone.genotype) in out
    assert set(found.choices.values()) == {"shared"}
    latency = json.loads((searched / "latency.json").read_text())
    assert latency["milliseconds"] > 0
    assert f" ms for one image on {latency['device']}" in out
    assert not (searched / "architecture.cfg").exists()
    settings = found.provenance["settings"]
    assert (settings["search_space"], settings["algorithm"]) == ("reid_cells", "darts")
    assert settings["correlation_weight"] == settings["architecture_mmd_weight"] == 0.0
    tensors = Checkpoints(searched / "checkpoints").newest().tensors
    for kind, edges in found.provenance["probabilities"].items():
        logits = tensors[f"network/backbone.{kind}_logits"].astype(np.float64)
        assert logits.any()
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        rows = [list(weights.values()) for weights in edges.values()]
        np.testing.assert_allclose(rows, expected, rtol=1e-6)

    architecture = f"--architecture={searched / 'architecture.json'}"
    run("train", *SMALL, *data, architecture, f"--run_dir={trained}")
    tensors = Checkpoints(trained / "checkpoints").newest().tensors
    weights = {
        name: array.size
        for name, array in tensors.items()
        if name.startswith("network/")
        and "moving_" not in name
        and name != "network/head.neck.beta"
    }
    assert found.provenance["cost"]["parameters"] == sum(weights.values())
    run("evaluate", *data, f"--run_dir={trained}", "--noprogress")
    results = json.loads((trained / "results.json").read_text())
    assert CellPlan.from_json(results["architecture"]["backbone"]) == found.backbone
    (measured,) = results["results"].values()
    assert 0 < measured["mAP"] <= 1


def test_a_search_that_draws_and_counts_the_cost(tmp_path):
    """GDAS by classification alone; the cost is even at first. Random cells of the size of what it
    found are trained under their own name."""
    data = ("--dataset=market1501", f"--data_dir={people(tmp_path / 'data', 'market1501')}")
    space = ("--search_space=darts_cells", "--cells=1", "--warmup_epochs=0", "--relaxation=gdas")
    loss, searched = ("--objective=classification", "--latency_weight=1"), tmp_path / "search"
    run("search", *SMALL, *data, *space, *loss, f"--run_dir={searched}")
    (file,) = (searched / "tensorboard").iterdir()
    logged = {
        value.tag: float(tf.make_ndarray(value.tensor))
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
        if event.step == 0 and value.metadata.plugin_data.plugin_name == "scalars"
    }
    terms = {tag for tag in logged if tag.startswith("architecture_loss/")}
    assert terms == {f"architecture_loss/{n}" for n in ("cross_entropy", "expected_cost", "total")}
    assert logged["architecture_loss/expected_cost"] == pytest.approx(1.0, rel=1e-6)

    backbone = f"--backbone={searched / 'architecture.json'}"
    trained = (loss[0], "--architecture=random:5", backbone, f"--run_dir={tmp_path / 'train'}")
    run("train", *SMALL, *data, *trained)
    kept = Architecture.load(tmp_path / "train" / "architecture.json")
    assert kept.backbone.cells == (1,) and kept.provenance["drawn"]["seed"] == 5


def test_search_for_norms_in_a_network_of_cells(tmp_path):
    """CM-NAS within a genotype of Auto-ReID: a choice at each of its sites, which a line of
    integers says again."""
    EVERYTHING.save(tmp_path / "genotype.json")
    data = f"--data_dir={people(tmp_path / 'data', 'sysu_mm01')}"
    backbone = (f"--backbone={tmp_path / 'genotype.json'}", "--cells=1,1")
    folder = tmp_path / "search"
    run("search", *SMALL, data, *backbone, "--warmup_epochs=0", f"--run_dir={folder}")
    found = Architecture.load(folder / "architecture.json")
    plan = CellPlan(EVERYTHING, (1, 1))
    assert found.backbone == plan and "separate" in found.choices.values()
    assert Architecture.load(folder / "architecture.cfg", plan) == found
    tensors = Checkpoints(folder / "checkpoints").newest().tensors
    logits = [array for name, array in tensors.items() if name.endswith("architecture_logits")]
    assert len(logits) == len(plan.sites()) and all(pair.any() for pair in logits)

"""The search along random paths."""

import numpy as np
import pytest

from cmnas_tf.architecture import Architecture
from cmnas_tf.errors import BadInput
from cmnas_tf.layers import Paths
from cmnas_tf.searching import ALGORITHMS, OneShot, bilevel
from cmnas_tf.searching.fitness import supernet_scores
from tests.searching.small import SMALL, SPACE, find

TWO = OneShot.of_values({"epochs": 2, "split": "identities", "evaluations": 4, **SMALL})


def test_it_is_registered_with_its_own_selection():
    made = ALGORITHMS["one_shot"].of_values({})
    assert made.selection.name == "evolution"
    assert made.make_relaxation(3).fair
    uniform = ALGORITHMS["one_shot"].of_values({"paths": "uniform"}).make_relaxation(3)
    assert isinstance(uniform, Paths) and not uniform.fair and uniform.seed == 3


@pytest.mark.parametrize("name", ["logits", "perturbation"])
def test_what_reads_logits_is_refused(name):
    with pytest.raises(BadInput, match=f"selection={name} reads logits"):
        OneShot.of_values({"selection": name})


def test_people_must_be_kept_from_the_weights(eight_people, one_block, tmp_path):
    with pytest.raises(BadInput, match="split=within_identity leaves none"):
        find(eight_people, TWO.with_values(split="within_identity"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_weights_learn_and_the_fittest_measured_is_kept(
    eight_people, one_block, tmp_path, monkeypatch
):
    """Logits stay 0, whatever the steps; resumed in the middle it ends alike."""
    updated = []
    monkeypatch.setattr(
        bilevel.Bilevel, "update_architecture", lambda *_: updated.append(1), raising=True
    )
    found = find(eight_people, TWO, tmp_path / "run")
    tensors = found.run.newest().tensors
    logits = [x for name, x in tensors.items() if name.endswith("architecture_logits")]
    assert logits and not any(x.any() for x in logits) and not updated
    assert found.architecture == Architecture.load(tmp_path / "run")
    assert found.architecture.provenance["settings"]["algorithm"] == "one_shot"
    assert found.architecture.provenance["settings"]["paths"] == "fair"
    again = supernet_scores(
        eight_people, SPACE, TWO, {"kept": found.architecture}, found.run, seed=0
    )
    assert again["kept"] == pytest.approx(found.architecture.provenance["fitness"], abs=1e-6)

    uniform = find(eight_people, TWO.with_values(paths="uniform"), tmp_path / "uniform")
    other = uniform.run.newest().tensors
    assert any((other[name] != x).any() for name, x in tensors.items() if "kernel" in name)
    assert all(np.isfinite(x).all() for x in other.values())

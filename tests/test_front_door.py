"""What ``import cmnas_tf`` offers, and what README shows of it."""

import ast
import importlib
import re
from pathlib import Path

import numpy as np
import pytest

import cmnas_tf as reid
from tests.tiny_people import write_people

ROOT = Path(__file__).parents[1]


def test_a_type_checker_takes_every_name_for_a_public_one():
    """In a stub ``import x as x`` says so."""
    stub = ast.parse(Path(reid.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imported = [
        alias for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    assert [alias.asname for alias in imported] == [alias.name for alias in imported]
    assert len(imported) == len(reid.__all__) > 30


@pytest.mark.parametrize("name", reid.__all__)
def test_a_public_name(name):
    """It is there, it says what it is, and it is the same as in the room that it comes from."""
    assert name in dir(reid)
    found = getattr(reid, name)
    assert found.__doc__
    assert found is getattr(importlib.import_module(reid._HOME_OF[name]), name)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'find_network'"):
        reid.find_network  # noqa: B018


@pytest.mark.slow
def test_the_first_block_of_readme(one_block, tmp_path, monkeypatch):
    """Executed as it is printed, with components that are small unless told otherwise."""
    people = write_people(tmp_path / "SYSU-MM01")
    images = sorted(people.glob("cam1/*/*.jpg"))
    for name, image in zip(("a.jpg", "b.jpg"), images, strict=False):
        (tmp_path / name).write_bytes(image.read_bytes())
    small = {
        "image_height": 32,
        "image_width": 16,
        "identities_per_batch": 4,
        "images_per_identity": 2,
    }
    made = {
        "NormSpace": reid.NormSpace("resnet18", width=0.0625),
        "Darts": reid.Darts(epochs=2, warmup_epochs=1).with_values(**small),
        "Recipe": reid.Recipe(epochs=1).with_values(**small),
    }
    for name, component in made.items():
        monkeypatch.setattr(reid, name, lambda *_, made=component, **__: made)
    monkeypatch.chdir(tmp_path)

    (block, *_) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(block, names)

    vectors = np.asarray(names["vectors"])
    assert vectors.shape == (2, names["model"].embedding_size)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert (tmp_path / "runs/search/architecture.json").is_file()
    assert (tmp_path / "runs/export/1/saved_model.pb").is_file()
    scores = names["scores"]
    assert 0 < scores.mAP <= 1
    assert 0 <= scores.rank1 <= 1
    assert 0 < scores.mINP <= 1
    assert len(scores["all_single_shot"].trials) == 10
    assert "all_single_shot" in str(scores)


def test_an_option_is_a_field_of_its_component():
    """The sentence below that block."""
    changed = reid.Recipe(epochs=30).with_values(image_height=128, triplet_weight=2.0)
    assert changed.size == reid.ImageSize(image_height=128)
    assert changed.objective.weights["triplet"] == 2.0
    assert changed.epochs == 30

"""The work of a cell: what it refuses before it begins. What it does: tests/end_to_end."""

import types

import numpy as np
import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.studies import run_cell
from tests.studies.small import finish, study


def people(train, test):
    """A data set of these identities."""
    parts = {"train": train, "test": test}
    return types.SimpleNamespace(
        **{name: types.SimpleNamespace(pids=np.array(pids)) for name, pids in parts.items()}
    )


def test_nobody_is_trained_on_and_tested_on(tmp_path, monkeypatch):
    monkeypatch.setattr(run_cell, "load_dataset", lambda *_: people([1, 2, 3, 7], [3, 4, 7]))
    plan = study(tmp_path)
    with pytest.raises(BadInput, match=r"2 identities of people are in .*among them 3.*strangers"):
        run_cell.work(plan, plan.cell("shared/seed0"))
    assert not list(tmp_path.iterdir())


def test_a_random_architecture_waits_for_the_one_it_is_like(tmp_path, monkeypatch):
    monkeypatch.setattr(run_cell, "load_dataset", lambda *_: people([1, 2], [3, 4]))
    plan = study(tmp_path)
    with pytest.raises(BadInput, match=r"like that of searched/seed1.*Do --cell=searched/seed1"):
        run_cell.work(plan, plan.cell("random_1/seed1"))


def test_what_is_finished_is_left_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_cell, "load_dataset", None)
    plan = study(tmp_path)
    cell = plan.cell("shared/seed0")
    finish(cell)
    run_cell.work(plan, cell)
    assert capsys.readouterr().out == f"{cell.folder / 'results.json'} is there already\n"

"""``python -m cmnas_tf.study`` when it is only asked what there is to do."""

import pytest

from cmnas_tf import study
from cmnas_tf.studies import throughput
from tests.studies.small import options


@pytest.mark.parametrize(
    ("queue", "said"),
    [
        ({"dry_run": True}, "--measure_steps=20"),
        ({"measure_steps": 1}, "3.7 hours of one abacus: 1 s a search step"),
    ],
)
def test_says_what_there_is_to_do_and_does_nothing(tmp_path, capsys, monkeypatch, queue, said):
    """Six cells, on the published number of images; see the hours by hand in test_budget."""
    monkeypatch.setattr(throughput, "measure", lambda *given: throughput.Pace(1.0, 0.5, "abacus"))
    folder = tmp_path / "study"
    study.main(options(folder, queue=queue, data={"data_dir": str(tmp_path / "none")}))
    output = capsys.readouterr().out
    assert output.count("to do") == 6
    assert said in output
    assert not folder.exists()

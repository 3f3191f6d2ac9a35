"""What the bench of sensor gaps says of several studies together."""

import json

import pytest

from benchmarks.gaps import pooled, report


def test_a_stratified_mean_by_hand():
    """Of 2.5 the error is sqrt(1 + 1) / 2, with (1 + 1)^2 / (1 + 1) degrees of freedom."""
    mean, reach = pooled([[1.0, 3.0], [2.0, 4.0]])
    assert mean == 2.5
    assert reach == pytest.approx(4.302653 * 2**0.5 / 2, rel=1e-6)


def test_one_seed_says_nothing_of_certainty():
    assert pooled([[1.0], [2.0, 4.0]]) == (2.0, float("inf"))


def test_seeds_are_paired_within_their_kind(tmp_path):
    kinds = {
        "near": {"by_stages": {"0": 0.5, "1": 0.75}, "shared": {"0": 0.25, "1": 0.625}},
        "far": {"by_stages": {"0": 0.25, "1": 0.5}, "shared": {"0": 0.5, "1": 0.875}},
    }
    for kind, rows in kinds.items():
        scores = {"all": {"mAP": {row: {"seeds": seeds} for row, seeds in rows.items()}}}
        (tmp_path / kind / "cells").mkdir(parents=True)
        (tmp_path / kind / "cells" / "study.json").write_text(json.dumps({"scores": scores}))
    text = report([tmp_path / kind / "cells" for kind in kinds])
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert ["by_stages", "62.5", "37.5", "50.0"] in lines
    assert ["shared", "43.8", "68.8", "56.2"] in lines
    # 25 and 12.5 ahead, 25 and 37.5 behind: of -6.25 the error is sqrt(2 * 6.25^2) / 2.
    assert ["shared", "-6.2", "-25.3 to +12.8"] in lines

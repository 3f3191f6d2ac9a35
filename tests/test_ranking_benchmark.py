"""What ranking is measured against."""

import pytest

from benchmarks import ranking


def test_the_plain_loop_gives_what_is_measured_beside_it(monkeypatch):
    """Both are compared before they are measured; a ranking that differs is not."""
    monkeypatch.setattr(ranking, "QUERIES", 60)
    monkeypatch.setattr(ranking, "GALLERY", 200)
    monkeypatch.setattr(ranking, "IDENTITIES", 20)
    assert callable(ranking.query_loop())
    measured = ranking.rank
    monkeypatch.setattr(ranking, "rank", lambda *test: measured(*test)._replace(mean_ap=0.5))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        ranking.query_loop()

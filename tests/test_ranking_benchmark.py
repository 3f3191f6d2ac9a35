"""What ranking is measured against."""

from benchmarks import ranking


def test_the_plain_loop_gives_what_is_measured_beside_it(monkeypatch):
    """It compares both before it is measured."""
    monkeypatch.setattr(ranking, "QUERIES", 60)
    monkeypatch.setattr(ranking, "GALLERY", 200)
    monkeypatch.setattr(ranking, "IDENTITIES", 20)
    ranking.query_loop()

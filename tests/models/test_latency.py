"""The time that one image takes."""

import itertools
import time

import tensorflow as tf

from cmnas_tf.models import cost
from cmnas_tf.models.cost import Latency, latency_of


class Network:
    """Counts its traces; gives an embedding of what it sees."""

    traces = 0

    def embed(self, image, modality):
        self.traces += 1
        assert image.shape == (1, 8, 6, 3) and modality == "visible"
        return type("Embeddings", (), {"embedding": tf.reduce_sum(image, axis=[1, 2])})


def test_the_median_of_the_calls_after_the_first(monkeypatch):
    """By a clock on which call n takes n seconds: the first 5 are to warm up; of 6 to 55 the median
    is 30.5 seconds."""
    ends = itertools.count(1)
    ticks = itertools.chain.from_iterable((0.0, float(next(ends))) for _ in itertools.count())
    monkeypatch.setattr(cost.time, "perf_counter", lambda: next(ticks))
    network = Network()
    found = latency_of(network, 8, 6)
    assert found.milliseconds == 30_500.0
    assert network.traces == 1
    assert found.device and "50 calls" in found.measured and "8 x 6" in found.measured


def test_latency_for_people_to_read():
    assert str(Latency(12.345, "a machine", "")) == "12.3 ms for one image on a machine"


def test_it_takes_time():
    """Half of the 50 calls take as long as the median or longer."""
    start = time.perf_counter()
    milliseconds = latency_of(Network(), 8, 6).milliseconds
    assert 0 < 25 * milliseconds <= 1e3 * (time.perf_counter() - start)

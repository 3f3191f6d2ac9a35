"""How long a network takes for one image, on this machine."""

import statistics
import time
from typing import NamedTuple

import tensorflow as tf

from cmnas_tf.machine import processor
from cmnas_tf.modality import VISIBLE
from cmnas_tf.models.two_stream import ReidNetwork

_WARM_UP = 5
_REPEATS = 50


class Latency(NamedTuple):
    """A measured time; another machine, or a busy one, has another.

    Attributes:
      milliseconds: median, for one image.
      device: that computed.
      measured: how.
    """

    milliseconds: float
    device: str
    measured: str

    def __str__(self) -> str:
        """Such as ``12.3 ms for one image on ...``."""
        return f"{self.milliseconds:.3g} ms for one image on {self.device}"


def latency_of(network: ReidNetwork, height: int, width: int) -> Latency:
    """Times the network's embedding of one visible image, as a graph.

    Args:
      height, width: of the image, in pixels.
    """
    embed = tf.function(lambda image: network.embed(image, VISIBLE).embedding, autograph=False)
    image = tf.zeros([1, height, width, 3])
    times = []
    for _ in range(_WARM_UP + _REPEATS):
        start = time.perf_counter()
        embed(image).numpy()  # which waits for the result
        times.append(time.perf_counter() - start)
    milliseconds = 1e3 * statistics.median(times[_WARM_UP:])
    measured = f"median of {_REPEATS} calls of the graph, {height} x {width}, batch 1"
    return Latency(milliseconds, device_name(), measured)


def device_name() -> str:
    """The name of the first GPU, else of the processor."""
    for gpu in tf.config.list_physical_devices("GPU"):
        return str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name))
    return processor()

"""Steps compiled as a whole by XLA: what makes one GPU fast, and what that costs before the first.

On an H100 a training step of a ResNet-50 keeps the GPU busy for 38 ms compiled and for 64 ms as a
graph (float32), and a supernet's step takes no longer than a derived network's: docs/results.md. On
a CPU compiled steps are slower than graphs.
"""

import functools
import logging
import os
import shlex
from pathlib import Path

import tensorflow as tf

from cmnas_tf.devices.gpus import on_gpus
from cmnas_tf.errors import BadInput
from cmnas_tf.files import cache_folder

logger = logging.getLogger(__name__)

_DRIVER = Path("/proc/driver/nvidia")


def set_flags() -> None:
    """Tells XLA how to compile for a GPU. TensorFlow reads it once, when it first lists devices.

    Convolutions stay channels last: NVIDIA's TF32 kernels want that, and XLA would turn those of
    float32 around. What was compiled is kept in ``xla`` of the :func:`cache_folder`, where the next
    run of the same steps on the same kind of GPU finds it. What is set in ``XLA_FLAGS`` and
    ``TF_XLA_FLAGS`` already has precedence.
    """
    _set("XLA_FLAGS", "xla_gpu_force_conv_nhwc", "true")
    _set("TF_XLA_FLAGS", "tf_xla_persistent_cache_directory", str(_kept()))
    _set("TF_XLA_FLAGS", "tf_xla_persistent_cache_device_types", "GPU")


def compiles(choice: str, strategy: tf.distribute.Strategy, deterministic: bool = False) -> bool:
    """Whether steps are compiled as a whole.

    Args:
      choice: ``"on"``, ``"off"``, or ``"auto"``: where one GPU computes and XLA can compile for it.
      strategy: what computes the steps.
      deterministic: whether equal runs must end with equal bits, which XLA does not offer on GPUs
        (it has no such gradient of max pooling).

    Raises:
      BadInput: ``"on"``, and there are several devices, or XLA cannot compile here.
    """
    replicas = strategy.num_replicas_in_sync
    on_gpu = on_gpus(strategy)
    if choice == "off" or (choice == "auto" and (replicas > 1 or not on_gpu)):
        return False
    if replicas > 1:
        raise BadInput(
            f"xla=on compiles the whole step of one device, and {replicas} compute this one; give "
            "strategy=one_device, or leave it out."
        )
    if deterministic and on_gpu:
        if choice == "on":
            raise BadInput(
                "xla=on: XLA computes no deterministic gradient of max pooling on a GPU; leave out "
                "xla or deterministic."
            )
        return False
    problem = _problem()
    if problem and choice == "on":
        raise BadInput(f"xla=on: XLA cannot compile here: {problem}. {_NEXT_MOVE}")
    if problem:
        logger.warning("XLA cannot compile here: %s. Steps are slower. %s", problem, _NEXT_MOVE)
    elif on_gpu:
        logger.info(
            "XLA compiles each kind of step before its first, for a minute or more; it is kept in "
            "%s for the next run. xla=off does without.",
            _kept(),
        )
    return not problem


_NEXT_MOVE = (
    "It needs ptxas and libdevice, which come with CUDA: install tensorflow[and-cuda], or name "
    "CUDA's folder as xla_gpu_cuda_data_dir in the environment variable XLA_FLAGS."
)


@functools.cache
def _problem() -> str:
    """Why XLA cannot compile a function that takes its tools, or "" """
    try:
        tf.function(tf.exp, jit_compile=True)(tf.zeros([2]))
    except tf.errors.OpError as error:
        return str(error.message).splitlines()[0].rstrip(".")
    return ""


def _kept() -> Path:
    return cache_folder() / "xla" / "-".join([tf.__version__, *_card()])


def _card() -> list[str]:
    """The words of the first GPU's name; TensorFlow would list the devices to tell it."""
    for file in sorted(_DRIVER.glob("gpus/*/information")):
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("Model:"):
                return line.removeprefix("Model:").split()
    return []


def _set(variable: str, name: str, value: str) -> None:
    given = os.environ.get(variable, "")
    if name not in given:
        os.environ[variable] = f"{given} --{name}={shlex.quote(value)}".strip()

"""``cmnas doctor``: is this machine fit for the work, and what would make it so?"""

import ctypes
import importlib
import importlib.util
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

import cmnas_tf
from cmnas_tf import machine
from cmnas_tf.errors import BadInput
from cmnas_tf.options import Options, option

# Of each extra the modules that its commands import.
EXTRAS = {
    "serving": ("official", "tensorflow_serving", "grpc", "urllib3"),
    "faiss": ("faiss",),
    "onnx": ("onnx", "onnxruntime", "tf2onnx"),
    "torch": ("torch",),
}
LEAST_MEMORY, LEAST_DISK = 2.0, 1.0  # in GB; less is said to be a problem: our choice
GB = 10**9


class Finding(NamedTuple):
    """What one look shows.

    Attributes:
      about: what was looked at.
      found: what there is.
      next_move: what to do about it, where it is a problem.
    """

    about: str
    found: str
    next_move: str = ""

    def __str__(self) -> str:
        said = f"{self.about:<13} {self.found}"
        return f"{said}\n{'':<13} PROBLEM. Next: {self.next_move}" if self.next_move else said


@dataclass(frozen=True, kw_only=True)
class Doctor(Options):
    """Looks at Python, packages, memory, disk, CUDA and devices; says what to mend, and how.

    It ends with code 1 where there is a problem.
    """

    run_dir: str = option(
        ".", "Folder whose disk is looked at: where runs will be.", path=True, affects_result=False
    )
    steps: bool = option(
        True,
        "Take a training step of a small network on each device in each precision.",
        affects_result=False,
    )


def main(command: Doctor) -> None:
    """Prints each finding as it is made.

    Raises:
      SystemExit: with code 1, where one is a problem.
    """
    problems = 0
    for finding in _findings(command):
        print(finding, flush=True)
        problems += bool(finding.next_move)
    print(f"\n{problems} problem{'s' * (problems > 1)}" if problems else "\nfit for use")
    if problems:
        raise SystemExit(1)


def _findings(command: Doctor) -> Iterator[Finding]:
    package = Path(cmnas_tf.__file__).parent
    yield Finding("cmnas_tf", f"{cmnas_tf.__version__} in {package}")
    yield Finding("Python", f"{platform.python_version()}, {sys.executable}")
    there = [extra for extra, modules in EXTRAS.items() if all(map(_is_there, modules))]
    yield packages(*requirements(package.parent, there))
    absent = [extra for extra in EXTRAS if extra not in there]
    more = f"; for more: pip install 'cmnas_tf[{','.join(absent)}]'" if absent else ""
    yield Finding("extras", f"{', '.join(there) or 'none'}{more}")
    yield Finding("processor", f"{machine.processor()}, {machine.cores()} cores for this process")
    yield memory(machine.available_memory() / GB)
    yield disk(Path(command.run_dir))
    try:
        importlib.import_module("tensorflow")
    except Exception as error:  # whatever a broken installation raises
        said = f"cannot be imported: {error}"
        yield Finding("TensorFlow", said, "install the packages named above anew")
        return
    yield from cuda()
    yield from devices()
    if command.steps:
        yield from steps()


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def requirements(folder: Path, extras: list[str]) -> tuple[str, list[Requirement]]:
    """What is needed here, after the name of who says so.

    Args:
      folder: that the package lies in. In a checkout it holds the pins, and these are taken, those
        of tools for tests left out; otherwise the bounds that the installed package declares.
      extras: whose bounds count too.
    """
    pins = folder / f"requirements{'' if sys.version_info < (3, 12) else '-2.20'}.txt"
    if pins.is_file():
        texts = [file.read_text() for file in (folder / "requirements-build.txt", pins)]
        lines = [line.partition("#")[0].strip() for text in texts for line in text.splitlines()]
        wanted = [Requirement(line) for line in lines if line and not line.startswith("-")]
        return pins.name, [r for r in wanted if not r.marker or r.marker.evaluate()]
    wanted = [Requirement(line) for line in metadata.requires("cmnas_tf") or ()]
    uses = [{"extra": extra} for extra in ("", *extras)]
    needed = [r for r in wanted if not r.marker or any(map(r.marker.evaluate, uses))]
    return "cmnas_tf", needed


def packages(who: str, wanted: list[Requirement]) -> Finding:
    """Compares what is installed with what is wanted."""
    wrong = {}
    for requirement in wanted:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            version = "missing"
        if version == "missing" or not requirement.specifier.contains(version, prereleases=True):
            wrong[f"{requirement.name}{requirement.specifier}"] = version
    if not wrong:
        return Finding("packages", f"{len(wanted)} as {who} wants them")
    told = ", ".join(f"{name} ({version})" for name, version in wrong.items())
    return Finding(
        "packages",
        f"{len(wanted) - len(wrong)} as {who} wants them; other than wanted: {told}",
        f"make install, in a checkout; or pip install {shlex.join(wrong)}",
    )


def memory(free: float) -> Finding:
    """Judges the free memory, in GB."""
    more = "end other programs, or let the container take more"
    return Finding("memory", f"{free:.1f} GB free", more if free < LEAST_MEMORY else "")


def disk(folder: Path) -> Finding:
    """Judges the disk that a folder is on, or will be."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free / GB
    more = "free some space, or give `run_dir` on another disk"
    said = f"{free:.1f} GB free in {there}"
    return Finding("disk", said, more if free < LEAST_DISK else "")


def cuda() -> Iterator[Finding]:
    """Compares the CUDA that this TensorFlow was built for with what the loader finds."""
    import tensorflow as tf

    build = tf.sysconfig.get_build_info()
    if not build.get("is_cuda_build"):
        yield Finding("TensorFlow", f"{tf.__version__}, built for CPUs alone")
        return
    version, cudnn = build["cuda_version"], build["cudnn_version"]
    yield Finding("TensorFlow", f"{tf.__version__}, built for CUDA {version} and cuDNN {cudnn}")
    gpus = tf.config.list_physical_devices("GPU")  # which loads the libraries that it finds
    driver, *libraries = (
        "libcuda.so.1",
        f"libcudart.so.{version.split('.')[0]}",
        f"libcublas.so.{version.split('.')[0]}",
        f"libcudnn.so.{cudnn.split('.')[0]}",
    )
    absent = [name for name in libraries if not _loads(name)]
    if not _loads(driver):
        yield Finding("CUDA", "no driver of NVIDIA's: the CPU computes")
    elif gpus:
        yield Finding("CUDA", f"{driver}, {', '.join(libraries)} are loaded")
    elif absent:
        with_cuda = f"pip install 'tensorflow[and-cuda]=={tf.__version__}'"
        said = f"a driver, but the loader finds no {', '.join(absent)}"
        yield Finding("CUDA", said, f"{with_cuda}; and unset LD_LIBRARY_PATH if it is set")
    else:
        yield Finding(
            "CUDA",
            "a driver and the libraries, but no GPU that may be used",
            "nvidia-smi, and what CUDA_VISIBLE_DEVICES says; TF_CPP_MIN_LOG_LEVEL=0 "
            "TF_CPP_MAX_VLOG_LEVEL=3 names what TensorFlow misses",
        )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def devices() -> Iterator[Finding]:
    """Lists what can compute, and tries XLA's compiler where that is a GPU."""
    import tensorflow as tf

    from cmnas_tf.devices import xla

    gpus = tf.config.list_physical_devices("GPU")
    for number, gpu in enumerate(gpus):
        details = tf.config.experimental.get_device_details(gpu)
        capability = ".".join(map(str, details.get("compute_capability", ())))
        said = f"{details.get('device_name', 'a GPU')}, compute capability {capability or '?'}"
        yield Finding(f"GPU:{number}", said)
    if gpus:
        try:
            xla.compiles("on", tf.distribute.OneDeviceStrategy("GPU:0"))
        except BadInput as error:
            yield Finding("XLA", "cannot compile for the GPU", str(error))


def steps() -> Iterator[Finding]:
    """Takes a training step of one residual block on each device in each precision."""
    import tensorflow as tf

    from cmnas_tf.models.precision import POLICIES

    gpus = tf.config.list_physical_devices("GPU")
    for device in ("CPU:0", *(f"GPU:{number}" for number in range(len(gpus)))):
        for precision in POLICIES:
            begun, trouble = time.monotonic(), ""
            try:
                loss = _step(device, precision)
                trouble = "" if abs(loss) < float("inf") else f"the loss is {loss}"
            except (tf.errors.OpError, RuntimeError, ValueError) as error:
                trouble = str(error).partition("\n")[0]
            yield Finding(
                device,
                f"a training step in {precision}: "
                + (trouble or f"{time.monotonic() - begun:.1f} s, the first"),
                f"compute in another precision or on another device than {device}; if memory "
                "is short, end what else uses it (nvidia-smi)"
                if trouble
                else "",
            )


def _step(device: str, precision: str) -> float:
    """The loss of a small network, before the step that it takes."""
    import numpy as np
    import tensorflow as tf

    from cmnas_tf.architecture import Architecture, ResNetPlan
    from cmnas_tf.data.pipeline import Batch
    from cmnas_tf.losses import Objective
    from cmnas_tf.modality import MODALITIES
    from cmnas_tf.models.specification import Specification
    from cmnas_tf.training.gradient_step import gradient_step
    from cmnas_tf.training.recipe import Numerics, Recipe
    from cmnas_tf.training.trainer import Trainer

    strategy, objective = tf.distribute.OneDeviceStrategy(device), Objective()
    recipe = Recipe(numerics=Numerics(precision=precision, xla="off"))
    network = Specification(
        Architecture.separate(ResNetPlan((1, 0, 0, 0), False)), 2, 32, 16, width_factor=1 / 16
    )
    trainer = Trainer.begin(recipe, strategy, network, objective, seed=0)
    pixels = np.random.default_rng(0).standard_normal((4, 32, 16, 3), np.float32)
    batch = Batch({m: tf.constant(pixels) for m in MODALITIES}, tf.constant([0, 0, 1, 1]))
    taken = (trainer.network, objective, trainer.optimizer, batch, 2)
    return float(strategy.run(gradient_step, taken)["total"])

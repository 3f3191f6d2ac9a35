"""``cmnas doctor``: is this machine fit, and what would make it so?"""

import ctypes
import importlib.util
import itertools
import math
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cmnas_tf import __version__, machine
from cmnas_tf.options import Options, option

# Of each extra a module that nothing else brings.
EXTRAS = {
    "serving": "tensorflow_serving",
    "faiss": "faiss",
    "store": "lancedb",
    "ray": "ray",
    "report": "vl_convert",
    "browse": "nicegui",
    "onnx": "tf2onnx",
    "openvino": "openvino",
    "torch": "torch",
}
LEAST_MEMORY, LEAST_DISK = 2.0, 1.0  # GB; less is a problem: our choice


class Finding(NamedTuple):
    """What was looked at, what there is, and where that is a problem the next move."""

    about: str
    found: str
    next_move: str = ""


@dataclass(frozen=True, kw_only=True)
class Doctor(Options):
    """Looks at packages, memory, disk, CUDA and devices, and says what to mend (exit code 1)."""

    run_dir: str = option(".", "Folder on whose disk runs will be.", path=True)


def main(command: Doctor) -> None:
    """Prints each finding as it is made; ends with code 1 where one is a problem."""
    problems = 0
    for about, found, next_move in _findings(command):
        print(f"{about:<11} {found}", flush=True)
        if next_move:
            print(f"{'':<11} PROBLEM; next: {next_move}", flush=True)
            problems += 1
    print(f"\n{problems or 'no'} problem{'s' * (problems != 1)}")
    sys.exit(problems > 0)


def _findings(command: Doctor) -> Iterator[Finding]:
    package = Path(__file__).parents[1]
    yield Finding("cmnas_tf", f"{__version__} in {package}")
    yield Finding("Python", f"{platform.python_version()}, {sys.executable}")
    extras = [name for name, module in EXTRAS.items() if importlib.util.find_spec(module)]
    yield packages(*requirements(package.parent, extras))
    absent = ",".join(name for name in EXTRAS if name not in extras)
    more = f"; for more: pip install 'cmnas_tf[{absent}]'" if absent else ""
    yield Finding("extras", f"{', '.join(extras) or 'none'}{more}")
    yield Finding("processor", f"{machine.processor()}, {machine.cores()} cores for this process")
    free = machine.available_memory() / 1e9
    more = "end other programs, or let the container have more" if free < LEAST_MEMORY else ""
    yield Finding("memory", f"{free:.1f} GB free", more)
    given = Path(command.run_dir).absolute()
    free = shutil.disk_usage(next(p for p in (given, *given.parents) if p.exists())).free / 1e9
    more = "free some space, or give a --run_dir on another disk" if free < LEAST_DISK else ""
    yield Finding("disk", f"{free:.1f} GB free for {given}", more)
    try:
        import tensorflow as tf
    except Exception as error:  # a broken installation may raise anything
        yield Finding("TensorFlow", f"cannot be imported: {error}", "install the packages anew")
        return
    gpus = tf.config.list_physical_devices("GPU")  # which loads the libraries that it finds
    yield cuda(tf.__version__, tf.sysconfig.get_build_info(), len(gpus))
    for number, gpu in enumerate(gpus):
        details = tf.config.experimental.get_device_details(gpu)
        yield Finding(f"GPU:{number}", ", ".join(f"{k} {v}" for k, v in details.items()))
    yield from steps(["CPU:0", *(f"GPU:{number}" for number in range(len(gpus)))])


def requirements(folder: Path, extras: list[str]) -> tuple[str, list[Requirement]]:
    """What is needed, after what says so: a checkout's pins, or a package's and extras' bounds."""
    pins = folder / f"requirements{'' if sys.version_info < (3, 12) else '-2.20'}.txt"
    if pins.is_file():
        text = (folder / "requirements-build.txt").read_text() + pins.read_text()
        lines = [line.partition("#")[0].strip() for line in text.splitlines()]
        lines = [line for line in lines if line and not line.startswith("-")]
    else:
        lines = metadata.requires("cmnas_tf") or []
    uses = [{"extra": extra} for extra in ("", *extras)]
    known = map(Requirement, lines)
    wanted = [r for r in known if not r.marker or any(map(r.marker.evaluate, uses))]
    return pins.name if pins.is_file() else "the package", wanted


def packages(source: str, wanted: list[Requirement]) -> Finding:
    """Compares what is installed with what a source wants."""
    there = {canonicalize_name(known.name): known.version for known in metadata.distributions()}
    found = {known: there.get(canonicalize_name(known.name), "") for known in wanted}
    wrong = {
        f"{known.name}{known.specifier}": version or "missing"
        for known, version in found.items()
        if not version or version not in known.specifier
    }
    told = "".join(f", but {name}: {version}" for name, version in wrong.items())
    return Finding(
        "packages",
        f"{len(wanted) - len(wrong)} as {source} wants them{told}",
        f"in a checkout make install, elsewhere pip install {shlex.join(wrong)}" if wrong else "",
    )


def cuda(version: str, build: dict, gpus: int) -> Finding:
    """Compares what TensorFlow was built for (``get_build_info``) with what the loader finds."""
    if not build.get("is_cuda_build"):
        return Finding("TensorFlow", f"{version}, built for CPUs alone")
    toolkit, cudnn = build["cuda_version"], build["cudnn_version"]
    said = f"{version}, built for CUDA {toolkit} and cuDNN {cudnn}"
    if gpus:
        return Finding("TensorFlow", f"{said}, which are loaded")
    if not _loads("libcuda.so.1"):
        return Finding("TensorFlow", f"{said}; there is no NVIDIA driver: the CPU computes")
    wanted = {"cudart": toolkit, "cublas": toolkit, "cudnn": cudnn}
    names = [f"lib{name}.so.{whole.partition('.')[0]}" for name, whole in wanted.items()]
    if absent := [name for name in names if not _loads(name)]:
        install = f"pip install 'tensorflow[and-cuda]=={version}'; then unset LD_LIBRARY_PATH"
        return Finding("TensorFlow", f"{said}; the loader misses {', '.join(absent)}", install)
    seen = "look at nvidia-smi and CUDA_VISIBLE_DEVICES, then at docs/devices.md"
    return Finding("TensorFlow", f"{said}, which are there; yet it sees no GPU", seen)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def steps(devices: list[str]) -> Iterator[Finding]:
    """Takes a training step of a small ResNet-18 on each device in each precision."""
    import tensorflow as tf

    from cmnas_tf.architecture import Architecture
    from cmnas_tf.data.pipeline import Batch
    from cmnas_tf.modality import MODALITIES
    from cmnas_tf.models.precision import POLICIES
    from cmnas_tf.models.specification import Specification
    from cmnas_tf.training.gradient_step import gradient_step
    from cmnas_tf.training.recipe import Numerics, Recipe
    from cmnas_tf.training.trainer import Trainer

    network = Specification(Architecture.separate("resnet18"), 2, 32, 16, width_factor=1 / 16)
    images = tf.random.stateless_normal([4, 32, 16, 3], seed=[0, 0])
    batch = Batch(dict.fromkeys(MODALITIES, images), tf.constant([0, 0, 1, 1]))
    for device, precision in itertools.product(devices, POLICIES):
        recipe = Recipe(numerics=Numerics(precision=precision, xla="off"))
        strategy = tf.distribute.OneDeviceStrategy(device)
        try:
            trainer = Trainer.begin(recipe, strategy, network, seed=0)
            taken = (trainer.network, recipe.objective, trainer.optimizer, batch, 2)
            loss = float(strategy.run(gradient_step, taken)["total"])
            found = f"a training step in {precision}: loss {loss:.2f}"
        except (tf.errors.OpError, RuntimeError, ValueError) as error:
            loss, found = math.nan, f"no training step in {precision}: {error}"
        more = "see what else uses it (nvidia-smi), or give another --precision"
        yield Finding(device, found, "" if math.isfinite(loss) else more)

"""``python -m benchmarks gpu``: steps and embedding on a GPU, beside PyTorch's.

Variants of a wave start together, each in a process of its own, and are timed one after the other.
XLA tries the kernels of each on the GPU before its first step, so that few do it at once: on an
H100 a command alone came to its first step in 65 s, variants beside four others took 120 to 172 s.
Each figure is written as soon as it is known, the most important first. ``--small`` rehearses it
all with tiny images, on a CPU too.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import command
from benchmarks.batch import NETWORK, SIZES
from benchmarks.figure import Figure
from benchmarks.machine import machine
from benchmarks.turns import Process
from cmnas_tf.files import write_json
from cmnas_tf.tables import table

FULL = {SIZES: "16x4x256x128"}
SMALL = {SIZES: "2x2x64x32", NETWORK: "resnet18"}
Found = dict[str, dict[str, Any]]

STEPS, TORCH = "benchmarks.steps:", "benchmarks.torch_steps:"
TORCH_FLOAT32 = TORCH + "step?layout=channels_last"
TORCH_BFLOAT16 = TORCH + "step?layout=channels_last&precision=bfloat16"
EMBED, TORCH_EMBED = STEPS + "embed?xla=on", TORCH + "embed?layout=channels_last"
HALF = "&precision=bfloat16"

DERIVED, SUPERNET = STEPS + "derived?xla=on", STEPS + "supernet?xla=on"
NAIVE, TRAIN, SEARCH = (STEPS + f"{n}?xla=on" for n in ("naive_supernet", "train", "search"))
GRAPH, FLOAT16 = STEPS + "derived", DERIVED + "&precision=float16"
RECOMPUTED = DERIVED + "&recompute=yes"
# With no kernel whose sums have no fixed order.
ORDERED = DERIVED + "&pool=shifted&xla_flags=--xla_gpu_exclude_nondeterministic_ops%3Dtrue"
# What starts together, and together fits into 80 GB; or a command.
PARTS: tuple[tuple[str, ...] | str, ...] = (
    "train",
    (DERIVED, TRAIN, ORDERED),
    (DERIVED + HALF, ORDERED + HALF, TORCH_FLOAT32, TORCH_BFLOAT16),
    "search",
    (EMBED, EMBED + HALF, TORCH_EMBED, TORCH_EMBED + HALF),
    (SUPERNET, SEARCH, NAIVE),
    (FLOAT16, RECOMPUTED),
    (GRAPH, STEPS + "derived?precision=bfloat16", STEPS + "supernet"),
)


def told(variant: str, measure: str) -> Callable[[Found], float | None]:
    """One measure; None where it was not measured."""
    return lambda found: found.get(variant, {}).get(measure)


def over(
    numerator: str, denominator: str, measure: str = "row_ms"
) -> Callable[[Found], float | None]:
    """The ratio of two variants' measures; None where one of them was not measured."""

    def value(found: Found) -> float | None:
        above, below = (told(variant, measure)(found) for variant in (numerator, denominator))
        return above / below if above and below else None

    return value


def half(value: Callable[[Found], float | None]) -> Callable[[Found], float | None]:
    """Half of another value."""

    def halved(found: Found) -> float | None:
        whole = value(found)
        return None if whole is None else whole / 2

    return halved


FIGURES = {
    "step over PyTorch, float32": Figure(over(DERIVED, TORCH_FLOAT32), 0.95),
    "step over PyTorch, bfloat16": Figure(over(DERIVED + HALF, TORCH_BFLOAT16), 0.95),
    "supernet over derived step": Figure(over(SUPERNET, DERIVED), 1.12),
    "supernet over derived memory": Figure(over(SUPERNET, DERIVED, "gpu_bytes"), 1.10),
    "supernet over naive supernet step": Figure(over(SUPERNET, NAIVE), 0.85),
    "search step over two derived steps": Figure(half(over(SEARCH, DERIVED)), 1.10),
    "bfloat16 over float32 step": Figure(over(DERIVED + HALF, DERIVED), 0.60),
    "train step over derived step": Figure(over(TRAIN, DERIVED)),
    "train command over train step": Figure(over("train, warm", TRAIN), 1.05),
    "GPU in use by train, percent": Figure(told("train, warm", "gpu_in_use"), 95, True),
    "first step of train, s": Figure(told("train, cold", "first_step_s"), 15),
    "first step of train, compiled before, s": Figure(told("train, warm", "first_step_s"), 15),
    "first step of search, s": Figure(told("search, cold", "first_step_s"), 20),
    "first step of search, compiled before, s": Figure(told("search, warm", "first_step_s"), 20),
    "longest wait of search, s": Figure(told("search, cold", "longest_wait_s"), 4),
    "longest wait of search, compiled before, s": Figure(told("search, warm", "longest_wait_s"), 4),
    "embedding, PyTorch over ours, float32": Figure(over(TORCH_EMBED, EMBED), 1.1, True),
    "embedding, PyTorch over ours, bfloat16": Figure(
        over(TORCH_EMBED + HALF, EMBED + HALF), 1.1, True
    ),
    "deterministic kernels over all, float32": Figure(over(ORDERED, DERIVED)),
    "deterministic kernels over all, bfloat16": Figure(over(ORDERED + HALF, DERIVED + HALF)),
    "deterministic kernels over all, first step": Figure(over(ORDERED, DERIVED, "first_step_s")),
    "compiled over graph step, float32": Figure(over(DERIVED, STEPS + "derived")),
    "compiled over graph step, bfloat16": Figure(
        over(DERIVED + HALF, STEPS + "derived?precision=bfloat16")
    ),
    "compiled over graph supernet": Figure(over(SUPERNET, STEPS + "supernet")),
}


def main(words: list[str] | None = None) -> None:
    """Measures part after part, writes what it saw, shows the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/CARD.json")
    parser.add_argument("--small", action="store_true", help="tiny images; without a GPU too")
    parser.add_argument("--steps", type=int, default=20, help="of a row; default: 20")
    parser.add_argument(
        "--rows", type=int, default=3, help="of which the median counts; default: 3"
    )
    parser.add_argument("--limit_s", type=float, default=480, help="no part begins after it")
    parser.add_argument("--torch_python", default=sys.executable, help="one that has PyTorch")
    options = parser.parse_args(words)
    card = card_name()
    if card is None and not options.small:
        parser.error("there is no GPU here; --small rehearses on the CPU")
    output = options.output or Path(__file__).parent / "results" / f"{card or 'cpu'}.json"
    found: Found = {}
    result: dict[str, Any] = {"card": card, "machine": machine(), "variants": found}

    def keep() -> None:
        result["figures"] = figures(found)
        write_json(output, result)

    begin = time.monotonic()
    for part in PARTS:
        if time.monotonic() - begin > options.limit_s:
            print(f"--limit_s={options.limit_s:g} is over; left out: {part}")
        elif isinstance(part, str):
            found |= command.measure(part, options.small)
            keep()
        else:
            measure(part, options, found, keep)
    rows = [FIGURES[name].row(name, value) for name, value in figures(found).items()]
    print(f"\n{table([['', 'measured', 'wanted', ''], *rows])}\n\nwritten to {output}")


def measure(
    wave: tuple[str, ...], options: argparse.Namespace, found: Found, keep: Callable[[], None]
) -> None:
    """Starts the variants together and times them one after the other.

    Args:
      wave: variants.
      options: whether it is ``small``, the ``steps`` of a row, how many ``rows``, and PyTorch's
        Python.
      found: where what is measured goes, by variant.
      keep: called after each of them.
    """
    begin, steps = time.monotonic(), options.steps
    environment = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", **(SMALL if options.small else FULL)}

    def prepare(process: Process) -> dict[str, Any]:
        ready = process.answer()
        if "unavailable" not in ready:
            process.tell("run")
        return {name: value for name, value in ready.items() if "bytes" not in name}

    def first(process: Process) -> dict[str, Any]:
        return {"first_step_s": process.answer()["seconds"]}

    def rows(process: Process) -> dict[str, Any]:
        process.ask(f"row {steps}")  # to become warm
        seconds = [process.ask(f"row {steps}")["seconds"] for _ in range(options.rows)]
        waited = [process.ask("run")["seconds"] for _ in range(steps)]
        return {
            "row_ms": 1e3 * median(seconds),
            "row_ms_least": 1e3 * min(seconds),
            "row_ms_most": 1e3 * max(seconds),
            "waited_ms": 1e3 * median(waited),
            **process.ask("memory"),
        }

    def profile(process: Process) -> dict[str, Any]:
        return process.ask("profile 3")

    with ExitStack() as stack:
        pythons = {v: options.torch_python if TORCH in v else sys.executable for v in wave}
        processes = {
            v: stack.enter_context(Process(v, environment, python)) for v, python in pythons.items()
        }
        for process in processes.values():
            process.begin()
        for ask in (prepare, first, rows, profile):
            for variant, process in processes.items():
                measured = found.setdefault(variant, {})
                if "unavailable" in measured:
                    continue
                try:
                    measured |= ask(process)
                except RuntimeError as ended:  # by too little memory, say
                    measured["unavailable"] = str(ended)
                if ask is rows:
                    show(variant, measured)
                keep()
    print(f"a wave of {len(wave)} took {time.monotonic() - begin:.0f} s", flush=True)


def show(variant: str, measured: Mapping[str, Any]) -> None:
    """One line of what was measured of a variant."""
    if "unavailable" in measured:
        print(f"{variant}: {measured['unavailable']}", flush=True)
        return
    gigabytes = f", {measured['gpu_bytes'] / 1e9:.1f} GB" if "gpu_bytes" in measured else ""
    print(
        f"{variant.removeprefix('benchmarks.'):55} {measured['row_ms']:8.2f} ms in a row "
        f"({measured['row_ms_least']:.2f} to {measured['row_ms_most']:.2f}), "
        f"{measured['waited_ms']:.2f} waited{gigabytes}; first {measured['first_step_s']:.1f} s",
        flush=True,
    )


def figures(found: Found) -> dict[str, float]:
    """The values of those whose variants were measured."""
    values = {name: figure.value(found) for name, figure in FIGURES.items()}
    return {name: value for name, value in values.items() if value is not None}


def card_name() -> str | None:
    """The first GPU's name, or None without one."""
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        told = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.splitlines()[0].replace(" ", "-")

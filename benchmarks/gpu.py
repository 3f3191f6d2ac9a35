"""``python -m benchmarks gpu``: steps and embedding on a GPU, beside PyTorch's.

Variants of a wave start together, each in a process of its own, since a first step takes long and
uses little of the GPU; they are timed one after the other. Each figure is written as soon as it is
known, the most important first. ``--small`` rehearses it all with tiny images, on a CPU too.
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
from benchmarks.batch import BACKBONE, SIZES
from benchmarks.machine import machine
from benchmarks.turns import Process
from cmnas_tf.files import write_json
from cmnas_tf.tables import table

FULL = {SIZES: "16x4x256x128"}
SMALL = {SIZES: "2x2x64x32", BACKBONE: "resnet18"}
Found = dict[str, dict[str, Any]]

STEPS, TORCH = "benchmarks.steps:", "benchmarks.torch_steps:"
TORCH_FLOAT32 = TORCH + "step?layout=channels_last"
TORCH_BFLOAT16 = TORCH + "step?layout=channels_last&precision=bfloat16"
EMBED, TORCH_EMBED = STEPS + "embed?xla=on", TORCH + "embed?layout=channels_last"
HALF = "&precision=bfloat16"

# What starts together, and together fits into 80 GB.
WAVES = (
    (
        STEPS + "derived?xla=on",
        STEPS + "derived?xla=on" + HALF,
        STEPS + "supernet?xla=on",
        TORCH_FLOAT32,
        TORCH_BFLOAT16,
    ),
    (
        STEPS + "train?xla=on",
        STEPS + "search?xla=on",
        EMBED,
        EMBED + HALF,
        TORCH_EMBED,
        TORCH_EMBED + HALF,
    ),
    (
        STEPS + "naive_supernet?xla=on",
        STEPS + "derived",
        STEPS + "derived?precision=bfloat16",
        STEPS + "supernet",
        STEPS + "derived?xla=on&precision=float16",
        TORCH + "step?layout=channels_last&compiled=yes",
    ),
)


def over(numerator: str, denominator: str, measure: str = "row_ms") -> Callable[[Found], float]:
    """The ratio of two variants' medians."""
    return lambda found: found[numerator][measure] / found[denominator][measure]


# Name, how it follows from what was measured, and what it must be.
FIGURES: tuple[tuple[str, Callable[[Found], float], str], ...] = (
    ("step over PyTorch, float32", over(STEPS + "derived?xla=on", TORCH_FLOAT32), "<= 0.95"),
    (
        "step over PyTorch, bfloat16",
        over(STEPS + "derived?xla=on" + HALF, TORCH_BFLOAT16),
        "<= 0.95",
    ),
    (
        "supernet over derived step",
        over(STEPS + "supernet?xla=on", STEPS + "derived?xla=on"),
        "<= 1.12",
    ),
    (
        "supernet over derived memory",
        over(STEPS + "supernet?xla=on", STEPS + "derived?xla=on", "gpu_bytes"),
        "<= 1.10",
    ),
    (
        "supernet over naive supernet step",
        over(STEPS + "supernet?xla=on", STEPS + "naive_supernet?xla=on"),
        "<= 0.85",
    ),
    (
        "search step over two derived steps",
        lambda found: over(STEPS + "search?xla=on", STEPS + "derived?xla=on")(found) / 2,
        "<= 1.10",
    ),
    (
        "bfloat16 over float32 step",
        over(STEPS + "derived?xla=on" + HALF, STEPS + "derived?xla=on"),
        "<= 0.60",
    ),
    (
        "train step over derived step",
        over(STEPS + "train?xla=on", STEPS + "derived?xla=on"),
        "<= 1.05",
    ),
    ("embedding, PyTorch over ours, float32", over(TORCH_EMBED, EMBED), ">= 1.10"),
    ("embedding, PyTorch over ours, bfloat16", over(TORCH_EMBED + HALF, EMBED + HALF), ">= 1.10"),
    ("compiled over graph step, float32", over(STEPS + "derived?xla=on", STEPS + "derived"), ""),
    (
        "compiled over graph step, bfloat16",
        over(STEPS + "derived?xla=on" + HALF, STEPS + "derived?precision=bfloat16"),
        "",
    ),
    ("compiled over graph supernet", over(STEPS + "supernet?xla=on", STEPS + "supernet"), ""),
)


def main(words: list[str] | None = None) -> None:
    """Measures wave after wave, writes what it saw, shows the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/CARD.json")
    parser.add_argument("--small", action="store_true", help="tiny images; without a GPU too")
    parser.add_argument("--steps", type=int, default=20, help="of a row; default: 20")
    parser.add_argument(
        "--rows", type=int, default=3, help="of which the median counts; default: 3"
    )
    parser.add_argument("--waves", type=int, default=len(WAVES), help="default: all")
    parser.add_argument("--limit_s", type=float, default=480, help="no wave begins after it")
    parser.add_argument("--torch_python", default=sys.executable, help="one that has PyTorch")
    options = parser.parse_args(words)
    card = card_name()
    if card is None and not options.small:
        parser.error("there is no GPU here; --small rehearses on the CPU")
    output = options.output or Path(__file__).parent / "results" / f"{card or 'cpu'}.json"
    found: Found = {}
    result: dict[str, Any] = {"card": card, "machine": machine(), "variants": found}

    def keep() -> None:
        result["figures"] = {name: value for name, value, _ in figures(found)}
        write_json(output, result)

    begin = time.monotonic()
    for wave in WAVES[: options.waves]:
        if time.monotonic() - begin > options.limit_s:
            print(f"--limit_s={options.limit_s:g} is over; left out: {', '.join(wave)}")
            continue
        measure(wave, options, found, keep)
        if wave is WAVES[0]:
            result["train_command"] = command.measure(options.small)
            keep()
    rows = [["", "measured", "wanted"], *[[n, f"{v:.3f}", w] for n, v, w in figures(found)]]
    print(f"\n{table(rows)}\n\nwritten to {output}")


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
    with ExitStack() as stack:
        pythons = {v: options.torch_python if TORCH in v else sys.executable for v in wave}
        processes = {
            v: stack.enter_context(Process(v, environment, python)) for v, python in pythons.items()
        }
        for process in processes.values():
            process.begin()
        for variant, process in processes.items():
            ready = process.answer()
            found[variant] = {name: value for name, value in ready.items() if "bytes" not in name}
            if "unavailable" not in ready:
                process.tell("run")
        for variant, process in processes.items():
            if "unavailable" not in found[variant]:
                found[variant]["first_step_s"] = process.answer()["seconds"]
        for variant, process in processes.items():
            if "unavailable" not in found[variant]:
                process.ask(f"row {steps}")  # to become warm
        for variant, process in processes.items():
            if "unavailable" in found[variant]:
                continue
            seconds = [process.ask(f"row {steps}")["seconds"] for _ in range(options.rows)]
            waited = [process.ask("run")["seconds"] for _ in range(steps)]
            found[variant] |= {
                "row_ms": 1e3 * median(seconds),
                "row_ms_least": 1e3 * min(seconds),
                "row_ms_most": 1e3 * max(seconds),
                "waited_ms": 1e3 * median(waited),
                **process.ask("memory"),
            }
            keep()
            show(variant, found[variant])
        for variant, process in processes.items():
            if "unavailable" not in found[variant]:
                found[variant] |= process.ask("profile 3")
                keep()
    print(f"a wave of {len(wave)} took {time.monotonic() - begin:.0f} s", flush=True)


def show(variant: str, measured: Mapping[str, Any]) -> None:
    """One line of what was measured of a variant."""
    gigabytes = f", {measured['gpu_bytes'] / 1e9:.1f} GB" if "gpu_bytes" in measured else ""
    print(
        f"{variant.removeprefix('benchmarks.'):55} {measured['row_ms']:8.2f} ms in a row "
        f"({measured['row_ms_least']:.2f} to {measured['row_ms_most']:.2f}), "
        f"{measured['waited_ms']:.2f} waited{gigabytes}; first {measured['first_step_s']:.1f} s",
        flush=True,
    )


def figures(found: Found) -> list[tuple[str, float, str]]:
    """Name, value and wish of each figure whose variants were measured."""
    known = []
    for name, value, wanted in FIGURES:
        try:
            known.append((name, value(found), wanted))
        except KeyError:
            continue
    return known


def card_name() -> str | None:
    """The first GPU's name, or None without one."""
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split("\n")[
            0
        ]
    except (OSError, subprocess.CalledProcessError):
        return None

"""``python -m benchmarks``: every comparison, a table, and ``benchmarks/results/latest.json``.

``python -m benchmarks gpu`` measures a GPU, see ``benchmarks.gpu``; ``python -m benchmarks memory``
computes what fits into one, see ``benchmarks.memory``.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figure import Figure
from benchmarks.machine import machine
from benchmarks.turns import Timing, ratio, take_turns
from cmnas_tf.files import write_json
from cmnas_tf.tables import table

Timings = dict[str, Timing]
RESULT = Path(__file__).parent / "results" / "latest.json"


def over(numerator: str, denominator: str) -> Callable[[Timings], float | None]:
    """The ratio of two variants' times."""
    return lambda timings: ratio(timings[numerator], timings[denominator])


def over_faster(numerator: str, *denominators: str) -> Callable[[Timings], float | None]:
    """The ratio to whichever of several variants is the fastest."""

    def value(timings: Timings) -> float | None:
        found = [ratio(timings[numerator], timings[name]) for name in denominators]
        return None if None in found else max(found)

    return value


def seconds(variant: str) -> Callable[[Timings], float | None]:
    """A variant's own time."""
    return lambda timings: median(timings[variant].seconds)


def gigabytes(variant: str) -> Callable[[Timings], float | None]:
    """A variant's peak of memory, libraries left out."""
    return lambda timings: timings[variant].working_bytes / 1e9


def memory(numerator: str, denominator: str) -> Callable[[Timings], float | None]:
    """The ratio of two variants' peaks of memory, libraries left out."""
    return lambda timings: timings[numerator].working_bytes / timings[denominator].working_bytes


@dataclass(frozen=True)
class Comparison:
    """Variants that take turns, and what is told from it."""

    variants: tuple[str, ...]
    figures: dict[str, Figure]
    rounds: int = 7
    warmup: int = 2


STEP, TORCH = "benchmarks.steps:", "benchmarks.torch_steps:"
EMBEDDING = "benchmarks.embedding:"
TORCH_ONE = TORCH + "embed?images=1&calls=10&layout="
TORCH_MANY = TORCH + "embed?images=32&layout="
COMPARISONS = {
    "norm": Comparison(
        ("benchmarks.norm_layer:fused", "benchmarks.norm_layer:naive"),
        {
            "fused_over_naive_norm": Figure(
                over("benchmarks.norm_layer:fused", "benchmarks.norm_layer:naive"), 0.60
            )
        },
        rounds=15,
    ),
    "search": Comparison(
        (STEP + "derived", STEP + "supernet", STEP + "naive_supernet", STEP + "search"),
        {
            "supernet_over_derived_step": Figure(over(STEP + "supernet", STEP + "derived"), 1.12),
            "fused_over_naive_supernet_step": Figure(
                over(STEP + "supernet", STEP + "naive_supernet"),
                0.92,
                explained="Most of either step are the same convolutions (operations.json). Of the "
                "rest the fused norms save the products, one sum and a pass of gradients; they pay "
                "two affine passes more than a plain batch norm: one forward, as the output of the "
                "kernel that gives the moments is not used, and one for the moments' gradient.",
            ),
            "supernet_over_derived_memory": Figure(
                memory(STEP + "supernet", STEP + "derived"), 1.15
            ),
            "search_step_over_two_training_steps": Figure(
                lambda timings: _half(ratio(timings[STEP + "search"], timings[STEP + "derived"])),
                1.15,
            ),
        },
        rounds=15,
    ),
    "start": Comparison(
        (STEP + "start",),
        {
            "seconds_to_first_step": Figure(
                seconds(STEP + "start"),
                10,
                explained="Both updates are graphs of tens of thousands of operations. Python "
                "makes them one by one; TensorFlow rewrites and places them.",
            )
        },
        rounds=3,
        warmup=0,
    ),
    "precision": Comparison(
        (
            STEP + "derived",
            STEP + "derived?precision=bfloat16",
            TORCH + "step?layout=contiguous",
            TORCH + "step?layout=channels_last",
            TORCH + "step?layout=contiguous&precision=bfloat16",
            TORCH + "step?layout=channels_last&precision=bfloat16",
        ),
        {
            "bfloat16_over_float32_step": Figure(
                over(STEP + "derived?precision=bfloat16", STEP + "derived"),
                0.60,
                explained="The filters' gradients gain less than the other convolutions, and ReLU "
                "takes longer than in float32 (operations.json).",
            ),
            "tensorflow_over_torch_step": Figure(
                over_faster(
                    STEP + "derived",
                    TORCH + "step?layout=contiguous",
                    TORCH + "step?layout=channels_last",
                ),
                0.95,
            ),
            "tensorflow_over_torch_step_bfloat16": Figure(
                over_faster(
                    STEP + "derived?precision=bfloat16",
                    TORCH + "step?layout=contiguous&precision=bfloat16",
                    TORCH + "step?layout=channels_last&precision=bfloat16",
                ),
                1.05,
            ),
        },
    ),
    "exactness": Comparison(
        (STEP + "derived", STEP + "derived?deterministic=yes", STEP + "derived?rewritten=yes"),
        {
            "deterministic_over_default_step": Figure(
                over(STEP + "derived?deterministic=yes", STEP + "derived")
            ),
            "default_over_rewritten_step": Figure(
                over(STEP + "derived", STEP + "derived?rewritten=yes")
            ),
        },
    ),
    "pipeline": Comparison(
        ("benchmarks.pipeline:pil_loop", "benchmarks.pipeline:files"),
        {
            "pipeline_over_pil_loop": Figure(
                over("benchmarks.pipeline:pil_loop", "benchmarks.pipeline:files"),
                4,
                True,
                explained="On two cores this asks for half the loop's processor time. Decoding "
                "and resizing take more than half of what there is (operations.json).",
            )
        },
        rounds=5,
        warmup=1,
    ),
    "ranking": Comparison(
        ("benchmarks.ranking:query_loop", "benchmarks.ranking:vectorised"),
        {
            "ranking_over_query_loop": Figure(
                over("benchmarks.ranking:query_loop", "benchmarks.ranking:vectorised"), 20, True
            )
        },
    ),
    "large": Comparison(
        ("benchmarks.ranking:a_hundred_thousand",),
        {"ranking_100000_gigabytes": Figure(gigabytes("benchmarks.ranking:a_hundred_thousand"), 2)},
        rounds=1,
        warmup=0,
    ),
    "serving": Comparison(
        (
            EMBEDDING + "exported_one",
            EMBEDDING + "exported_frozen_one",
            EMBEDDING + "keras_one",
            TORCH_ONE + "contiguous",
            TORCH_ONE + "channels_last",
            EMBEDDING + "exported_many",
            TORCH_MANY + "contiguous",
            TORCH_MANY + "channels_last",
        ),
        {
            "export_over_keras_predict": Figure(
                over(EMBEDDING + "exported_one", EMBEDDING + "keras_one"), 0.8
            ),
            "export_over_torch": Figure(
                over_faster(
                    EMBEDDING + "exported_one",
                    TORCH_ONE + "contiguous",
                    TORCH_ONE + "channels_last",
                ),
                0.8,
                explained="Convolutions are faster with constants for weights, which oneDNN then "
                "keeps in the order that it needs: see frozen_export_over_torch.",
            ),
            "frozen_export_over_torch": Figure(
                over_faster(
                    EMBEDDING + "exported_frozen_one",
                    TORCH_ONE + "contiguous",
                    TORCH_ONE + "channels_last",
                ),
                0.8,
            ),
            "export_over_torch_32_images": Figure(
                over_faster(
                    EMBEDDING + "exported_many",
                    TORCH_MANY + "contiguous",
                    TORCH_MANY + "channels_last",
                ),
                1 / 1.5,
            ),
        },
        rounds=9,
    ),
}


def main() -> None:
    """Runs the comparisons and shows what came out."""
    if sys.argv[1:2] == ["gpu"]:
        from benchmarks import gpu

        gpu.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["memory"]:
        from benchmarks import memory

        memory.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", help=f"some of {', '.join(COMPARISONS)}; default: all")
    parser.add_argument("--output", type=Path, default=RESULT, help=f"default: {RESULT}")
    options = parser.parse_args()
    if unknown := set(options.only) - set(COMPARISONS):
        parser.error(f"{', '.join(sorted(unknown))}: must be among {', '.join(COMPARISONS)}")

    figures: dict[str, float | None] = {}
    missed: dict[str, str] = {}
    timings: dict[str, Any] = {}
    rows = [["", "measured", "wanted", ""]]
    for name in options.only or COMPARISONS:
        comparison = COMPARISONS[name]
        print(f"\n{name}: {', '.join(v.split('.')[-1] for v in comparison.variants)}", flush=True)
        seen = take_turns(comparison.variants, comparison.rounds, comparison.warmup)
        timings[name] = {variant: timing.to_json() for variant, timing in seen.items()}
        for key, figure in comparison.figures.items():
            figures[key] = value = figure.value(seen)
            rows.append(figure.row(key, value))
            if figure.missed(value):
                missed[key] = figure.explained
    found = {**figures, "missed": missed, "timings": timings, "machine": machine()}
    write_json(options.output, found)
    print(f"\n{table(rows)}")
    for key, why in missed.items():
        print(f"\n{key}: {why or 'not explained yet'}")
    print(f"\nwritten to {options.output}")


def _half(value: float | None) -> float | None:
    return None if value is None else value / 2


if __name__ == "__main__":
    sys.exit(main())

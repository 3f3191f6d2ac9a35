"""What is compared with what, and how good it must be."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.figure import Figure
from benchmarks.turns import Timing, ratio

Timings = dict[str, Timing]


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
RANKING, PIPELINE = "benchmarks.ranking:", "benchmarks.pipeline:"
EMBEDDING = "benchmarks.embedding:"
EVALUATION = "benchmarks.evaluation:package"
ONE, MANY = "images=1&calls=10", "images=32"
LAYOUTS = "contiguous", "channels_last"
TORCH_EVALUATIONS = tuple(
    f"benchmarks.torch_evaluation:loop?workers={workers}" for workers in ("0", "cores")
)


_CONVOLUTIONS = (
    "All but a fiftieth of an image alone are convolutions, with their norms and ReLUs (operations."
    "json). Weights that are variables are put in another order at each call, a third of the time, "
    "unless the server promises that they stay; what is left is that OpenVINO's convolutions of "
    "one image are faster."
)


def _exports(precision: str, wanted: float) -> Comparison:
    """Exported models beside the same network in other runtimes, of one image and of many."""
    variants: list[str] = []
    figures: dict[str, Figure] = {}
    for images, count in (("one", ONE), ("many", MANY)):
        words = f"{count}&precision={precision}"
        others = {
            "openvino": [f"{EMBEDDING}openvino?{words}"],
            "torch": [f"{TORCH}embed?{words}&layout={layout}" for layout in LAYOUTS],
        }
        if precision == "float32":
            others["onnxruntime"] = [f"{EMBEDDING}onnxruntime?{words}"]
        variants += [variant for several in others.values() for variant in several]
        for way, more in (("", ""), ("_served", "&served=yes"), ("_frozen", "&frozen=yes")):
            form, ours = f"{precision}{way}", f"{EMBEDDING}exported?{words}{more}"
            variants.append(ours)
            for name, several in others.items():
                best = wanted if name == "openvino" else None
                key = f"{form}_export_over_{name}_{images}"
                figures[key] = Figure(over_faster(ours, *several), best, explained=_CONVOLUTIONS)
    return Comparison(tuple(variants), figures, rounds=9)


def _memory(precision: str) -> Comparison:
    """What a version takes once every signature was called, with one image and with many."""
    form = f"{EMBEDDING}every_signature?precision={precision}"
    served, frozen = f"{form}&served=yes", f"{form}&frozen=yes"
    figures = {
        f"{precision}_export_gigabytes": Figure(gigabytes(form), 1.5),
        f"{precision}_served_export_gigabytes": Figure(gigabytes(served), 1.5),
        f"{precision}_frozen_export_gigabytes": Figure(gigabytes(frozen)),
    }
    return Comparison((form, served, frozen), figures, rounds=1, warmup=0)


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
                "takes longer than in float32 (operations.json). An Intel processor without AMX "
                "convolves at half its pace of float32.",
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
        (PIPELINE + "pil_loop", PIPELINE + "files", PIPELINE + "decoding_alone"),
        {
            "pipeline_over_pil_loop": Figure(
                over(PIPELINE + "pil_loop", PIPELINE + "files"),
                4,
                True,
                explained="On two cores this asks for half the loop's processor time. Decoding "
                "and resizing take more than half of what there is (operations.json).",
            ),
            "pipeline_over_decoding_alone": Figure(
                over(PIPELINE + "decoding_alone", PIPELINE + "files"),
                0.8,
                True,
                explained="Decoding is two fifths of the work; the rest resizes, crops, flips, "
                "normalises and erases, which decoding alone does not.",
            ),
        },
        rounds=5,
        warmup=1,
    ),
    "ranking": Comparison(
        (RANKING + "query_loop", RANKING + "vectorised"),
        {
            "ranking_over_query_loop": Figure(
                over(RANKING + "query_loop", RANKING + "vectorised"), 20, True
            )
        },
    ),
    "torchreid": Comparison(
        (RANKING + "of_market", "benchmarks.torchreid_ranking:of_market"),
        {
            "ranking_over_torchreid": Figure(
                over(RANKING + "of_market", "benchmarks.torchreid_ranking:of_market"),
                0.3,
                explained="NumPy's sort takes over half of it. Narrower labels and fewer passes "
                "over a block gave nothing.",
            )
        },
    ),
    "large": Comparison(
        (RANKING + "a_hundred_thousand",),
        {"ranking_100000_gigabytes": Figure(gigabytes(RANKING + "a_hundred_thousand"), 2)},
        rounds=1,
        warmup=0,
    ),
    "evaluation": Comparison(
        (EVALUATION, *TORCH_EVALUATIONS),
        {
            "evaluation_over_torch": Figure(over_faster(EVALUATION, *TORCH_EVALUATIONS), 1),
            "evaluation_gigabytes": Figure(gigabytes(EVALUATION)),
        },
        rounds=3,
        warmup=1,
    ),
    "keras": Comparison(
        (EMBEDDING + "exported?" + ONE, EMBEDDING + "keras"),
        {
            "export_over_keras_predict": Figure(
                over(EMBEDDING + "exported?" + ONE, EMBEDDING + "keras"), 0.8
            )
        },
        rounds=9,
    ),
    "exports": _exports("float32", 1.1),
    "exports_bfloat16": _exports("bfloat16", 1.3),
    "export_memory": _memory("float32"),
    "export_memory_bfloat16": _memory("bfloat16"),
}


def _half(value: float | None) -> float | None:
    return None if value is None else value / 2

"""Numbers in the documents are those of the files that they come from."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks import __main__ as benchmarks
from benchmarks import gaps, scale
from cmnas_tf.commands.demo import MEANING

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

ROWS = {
    "searched": "searched",
    "all shared": "shared",
    "all separate": "separate",
    "random, as many separate": "random",
    "separate up to layer1": "until_layer1",
    "separate up to layer3": "until_layer3",
    "searched without C3MMD": "no_c3mmd",
}


@pytest.mark.parametrize("document", [ROOT / "README.md", DOCS / "results.md"])
def test_scores_are_those_of_the_studies(document):
    """mAP, and in the results Rank-1 and the spread of mAP too."""
    studies = [
        json.loads((DOCS / name / "study.json").read_text())["scores"]["all_single_shot"]
        for name in ("study_synthetic", "study_synthetic_hard")
    ]
    rows = re.findall(r"^\| ([\w, ]+) \| (\S.*) \| (\S.*) \|$", document.read_text(), re.MULTILINE)
    cells = {name: rest for name, *rest in rows if name in ROWS}
    assert len(cells) >= 6
    for name, printed in cells.items():
        measures = ["rank1", "mAP"] if document.name == "results.md" else ["mAP"]
        for cell, study in zip(printed, studies, strict=True):
            wanted = [_percent(study[each][ROWS[name]]["seeds"]) for each in measures]
            assert re.findall(r"[\d.]+", cell)[: len(wanted)] == wanted, (name, cell)


def test_what_the_demonstration_says_is_what_its_study_found():
    """In its last words, and among the results with intervals."""
    study = json.loads((DOCS / "study_demo" / "study.json").read_text())
    scores = study["scores"]["all_single_shot"]["mAP"]
    ahead = study["differences"]["all_single_shot"]["mAP"]
    differences = [f"{100 * ahead[name]['mean']:.1f}" for name in ("shared", "separate")]
    scatter = f"{100 * scores['searched']['deviation']:.1f}"
    assert re.findall(r"\d\.\d", MEANING) == [*differences, scatter]
    assert all(float(difference) > float(scatter) for difference in differences)
    text = (DOCS / "results.md").read_text()
    (said,) = re.findall(r"\(`cmnas study --flagfile=study_demo`.*?every seed", text, re.DOTALL)
    wanted = [
        f"{100 * scores[name][part]:.1f}"
        for name in ("searched", "shared", "separate")
        for part in ("mean", "deviation")
    ]
    bounds = [f"{100 * b:.1f}" for n in ("shared", "separate") for b in ahead[n]["interval"]]
    assert re.findall(r"\d+\.\d", said) == [*wanted[:4], *bounds[:2], *wanted[4:], *bounds[2:]]
    guide = (DOCS / "get_started.md").read_text().split("Over five seeds")[1].split(", for 0.7")[0]
    (first, low, high), (second, *others) = np.split(np.array(re.findall(r"\d\.\d", guide)), [3])
    assert [first, second] == differences and [low, high, *others] == bounds
    for seed, mean_ap in scores["searched"]["seeds"].items():
        assert mean_ap > max(scores[name]["seeds"][seed] for name in ("shared", "separate"))


CELLS = {
    "searched by retrieval": "searched",
    "searched by classification": "classification",
    "searched without the part-aware operation": "darts_cells",
    "three random ones of the same size": "random",
}


def test_scores_of_cells_are_those_of_their_study():
    """Rank-1 and mAP with their spread, and the interval of what the search has ahead."""
    study = json.loads((DOCS / "study_autoreid" / "study.json").read_text())
    scores = study["scores"]["single_query"]
    (ahead,) = study["differences"].values()
    text = (DOCS / "results.md").read_text()
    for name, row in CELLS.items():
        (printed,) = re.findall(rf"^\| {name} \| (.*) \|$", text, re.MULTILINE)
        *cells, interval = printed.split(" |")
        for cell, measure in zip(cells, ("rank1", "mAP"), strict=True):
            of_row = scores[measure][row]
            wanted = f"{100 * of_row['mean']:.1f} ± {100 * of_row['deviation']:.1f}"
            assert cell.strip() == wanted, (name, cell)
        if row != "searched":
            low, high = ahead["mAP"][row]["interval"]
            assert interval.strip() == f"{100 * low:+.1f} to {100 * high:+.1f}"


def test_what_a_precision_loses_is_what_was_measured():
    """Mean and deviation of mAP, and the interval of the difference between equal seeds."""
    kept = json.loads((ROOT / "benchmarks/results/precision.json").read_text())["percent"]
    found = {name: [each["mAP"] for each in kept[name]] for name in ("float32", "bfloat16")}
    text = (DOCS / "training.md").read_text()
    for name, values in found.items():
        (printed,) = re.findall(rf"^\| {name} \|.*\| ([\d.]+ ± [\d.]+) \|", text, re.MULTILINE)
        assert printed == f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"
    change = np.subtract(found["bfloat16"], found["float32"])
    low, high = stats.t.interval(0.95, len(change) - 1, np.mean(change), stats.sem(change))
    assert f"| {low:+.1f} to {high:+.1f} |" in text


RATIOS = {
    "fused mixed norm over three plain ones": ("fused_over_naive_norm",),
    "supernet's step over a derived network's; its memory": (
        "supernet_over_derived_step",
        "supernet_over_derived_memory",
    ),
    "search, both updates, over two trainings' steps": ("search_step_over_two_training_steps",),
    "bfloat16 step over float32": ("bfloat16_over_float32_step",),
    "step over PyTorch's; in bfloat16": (
        "tensorflow_over_torch_step",
        "tensorflow_over_torch_step_bfloat16",
    ),
    "pipeline's images a second over a PIL loop's": ("pipeline_over_pil_loop",),
    "ranking, speed over a loop of queries": ("ranking_over_query_loop",),
    "ranking, time over torchreid's compiled loop": ("ranking_over_torchreid",),
    "pipeline's images a second over decoding alone": ("pipeline_over_decoding_alone",),
    "a test from files to scores, time over PyTorch's, channels last": ("evaluation_over_torch",),
}
RATIOS |= {
    row: tuple(f"{precision}{form}_export_gigabytes" for precision in ("float32", "bfloat16"))
    for row, form in (
        ("variables", ""),
        ("variables, as served", "_served"),
        ("constants", "_frozen"),
    )
}
PEERS = {"OpenVINO": "openvino", "ONNX Runtime": "onnxruntime", "PyTorch": "torch"}
RATIOS |= {
    f"{peer}, {precision}": tuple(
        f"{precision}{form}_export_over_{name}_{images}"
        for images in ("one", "many")
        for form in ("", "_served", "_frozen")
    )
    for peer, name in PEERS.items()
    for precision in ("float32", "bfloat16")
    if (name, precision) != ("onnxruntime", "bfloat16")
}


def test_ratios_are_those_of_the_benchmarks():
    """With the digits that are printed, of two processors."""
    measured = []
    for processor in ("AMD-EPYC", "Intel-R-Xeon-R-Processor"):
        of_each = benchmarks.read(ROOT / f"benchmarks/results/{processor}.json").values()
        measured.append({key: value for one in of_each for key, value in one["figures"].items()})
    text = (DOCS / "results.md").read_text()
    for row, names in RATIOS.items():
        (printed,) = re.findall(rf"^\| {re.escape(row)} \| (.*) \|$", text, re.MULTILINE)
        for numbers, name in zip(re.split(r"; | \| ", printed), names, strict=True):
            for number, figures in zip(numbers.split(" / "), measured, strict=True):
                if number == "-":
                    assert name not in figures
                    continue
                digits = len(number.partition(".")[2])
                assert number == f"{figures[name]:.{digits}f}", name


def test_galleries_are_those_that_were_measured():
    measured = json.loads((ROOT / "benchmarks/results/galleries.json").read_text())
    text = (DOCS / "results.md").read_text()
    rows = re.findall(r"^\| (\w+), ([\d,]+) \| (\d+) \| (.*) \|$", text, re.MULTILINE)
    assert {kind for kind, *_ in rows} == {"flat", "hnsw", "store"}
    for kind, entries, effort, printed in rows:
        seen = measured[f"{kind}, {entries.replace(',', '')} x 2048"]
        found = seen["efforts"][effort]
        numbers = seen["built_cpu_s"], found["query_cpu_ms"], found["recall"]
        gigabytes = seen["memory_mb"] / 1000, seen["disk_mb"] / 1000
        digits = 0, 1, 3, 2, 2
        wanted = [f"{n:.{d}f}" for n, d in zip((*numbers, *gigabytes), digits, strict=True)]
        assert printed.split(" | ") == wanted, (kind, entries, effort)


def test_what_millions_of_images_need_is_what_the_script_computes():
    text = (DOCS / "scale.md").read_text()
    printed = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:1] == "|"]
    (head, *wanted), (_, _, *rows) = scale.rows(), printed
    assert printed[0][-2:] == head[1:] and rows == wanted
    bulk = json.loads((ROOT / "benchmarks/results/bulk.json").read_text())
    assert f"{bulk['bulk_over_loop']:.2f} times the images of the plain loop" in text


def _percent(of_seeds: dict[str, float]) -> str:
    return f"{100 * sum(of_seeds.values()) / len(of_seeds):.1f}"


def test_fitness_after_epochs_of_its_own_is_as_measured():
    found = [
        json.loads((DOCS / "logits" / f"tuned_{kind}.json").read_text())
        for kind in ("heat", "coarse")
    ]
    text = (DOCS / "logits.md").read_text()
    for name in found[0]:
        (printed,) = re.findall(rf"^\| {name} \| (.*) \|$", text, re.MULTILINE)
        wanted = [f"{100 * of[name][epochs]:.1f}" for of in found for epochs in "013"]
        assert printed.split(" | ") == wanted


def test_what_the_bench_of_gaps_says_is_what_is_kept():
    kept = json.loads(gaps.KEPT.read_text())
    scores = {kind: {s: of["mAP"] for s, of in seeds.items()} for kind, seeds in kept.items()}
    fitness = {
        kind: {s: of["fitness"] for s, of in seeds.items() if "fitness" in of}
        for kind, seeds in kept.items()
    }
    said = gaps.report(scores, fitness)
    found = {
        row: re.findall(rf"^\| {row} +\|(.*)\|$", said, re.MULTILINE)
        for row in ("searched", *ROWS_OF_GAPS, "mean", "together")
    }
    text = (DOCS / "studies.md").read_text().split("pools all of them")[1].split("Eight seeds")[0]
    printed = dict(re.findall(r"^\| (\w+) \| (.*) \|$", text, re.MULTILINE))
    assert printed.pop("searched") == f"{_numbers(found['searched'][0])[-1]} |"
    for row, cells in printed.items():
        means, *_, ahead = found[row][:3]
        low, high = re.findall(r"[+-]\d+\.\d", ahead)[1:]
        assert cells == f"{_numbers(means)[-1]} | {low} to {high}", row
    assert list(printed) == list(ROWS_OF_GAPS)
    best_of_kind = min(
        (re.findall(r"[+-]\d+\.\d", found[row][1]) for row in ROWS_OF_GAPS),
        key=lambda numbers: float(numbers[0]),
    )
    numbers = [
        *(n for row in ("mean", "together") for cells in found[row] for n in _numbers(cells)),
        *best_of_kind,
    ]
    # The tau of two seeds stands in both tables of what is selected; the mean in the table above.
    numbers.remove(_numbers(found["mean"][0])[-1])
    numbers.remove(_numbers(found["searched"][0])[-1])
    said = [
        n.lstrip("+-") for n in re.findall(r"[+-]?\d+\.\d+", re.sub(r"^\|.*", "", text, flags=re.M))
    ]
    assert sorted(said) == sorted(n.lstrip("+-") for n in numbers)


ROWS_OF_GAPS = (
    *("shared", "until_stem", "until_layer1", "until_layer2", "until_layer3", "separate"),
    *("within_layer1", "within_layer2"),
)


def _numbers(cells):
    return re.findall(r"[+-]?\d+\.\d+", cells)

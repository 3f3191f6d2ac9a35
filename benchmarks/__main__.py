"""``python -m benchmarks``: every comparison, a table, and ``benchmarks/results/PROCESSOR.json``.

A comparison replaces its own part of that file, which says when and with what it was measured.
``python -m benchmarks table`` shows the files of all processors side by side. ``python -m
benchmarks gpu`` measures a GPU, see ``benchmarks.gpu``; ``python -m benchmarks memory`` computes
what fits into one, see ``benchmarks.memory``.
"""

import argparse
import importlib
import json
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.comparisons import COMPARISONS, Comparison
from benchmarks.machine import machine
from benchmarks.turns import take_turns
from cmnas_tf.files import write_json
from cmnas_tf.machine import processor
from cmnas_tf.tables import table

RESULTS = Path(__file__).parent / "results"
FORM = 2  # of the files there
_NAME = re.compile(r"[^A-Za-z0-9]+")


def main() -> None:
    """Runs the comparisons and shows what came out."""
    if sys.argv[1:2] in (["gpu"], ["memory"]):
        importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:])
        return
    if sys.argv[1:] == ["table"]:
        print(side_by_side(RESULTS))
        return
    default = RESULTS / f"{_NAME.sub('-', processor()).strip('-')}.json"
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", help=f"some of {', '.join(COMPARISONS)}; default: all")
    parser.add_argument("--output", type=Path, default=default, help=f"default: {default}")
    options = parser.parse_args()
    if unknown := set(options.only) - set(COMPARISONS):
        parser.error(f"{', '.join(sorted(unknown))}: must be among {', '.join(COMPARISONS)}")
    try:
        kept = read(options.output) if options.output.exists() else {}
    except ValueError as error:
        parser.error(str(error))

    rows, missed = [["", "measured", "wanted", ""]], {}
    for name in options.only or COMPARISONS:
        comparison = COMPARISONS[name]
        print(f"\n{name}: {', '.join(v.split('.')[-1] for v in comparison.variants)}", flush=True)
        kept[name] = measured = run(comparison)
        write_json(options.output, {"form": FORM, "comparisons": kept})
        for key, figure in comparison.figures.items():
            rows.append(figure.row(key, measured["figures"][key]))
        missed |= measured["missed"]
    print(f"\n{table(rows)}")
    for key, why in missed.items():
        print(f"\n{key}: {why or 'not explained yet'}")
    print(f"\nwritten to {options.output}")


def run(comparison: Comparison) -> dict[str, Any]:
    """Its figures, which of them fall short and why, the timings, and the machine; JSON-ready."""
    seen = take_turns(comparison.variants, comparison.rounds, comparison.warmup)
    figures = {key: figure.value(seen) for key, figure in comparison.figures.items()}
    missed = {
        key: figure.explained
        for key, figure in comparison.figures.items()
        if figure.missed(figures[key])
    }
    timings = {variant: timing.to_json() for variant, timing in seen.items()}
    return {"figures": figures, "missed": missed, "timings": timings, "machine": machine()}


def read(file: Path) -> dict[str, Any]:
    """The comparisons that a file holds, by name.

    Raises:
      ValueError: it is not such a file, or of another version.
    """
    content = json.loads(file.read_text())
    if not isinstance(content, dict) or content.get("form") != FORM:
        raise ValueError(
            f"{file} is no file of results of this version (form {FORM}); move it away, or give "
            "another --output"
        )
    return content["comparisons"]


def side_by_side(folder: Path) -> str:
    """A table of the figures in all files of a folder, a column each; others are passed over."""
    found = {}
    for file in sorted(folder.glob("*.json")):
        with suppress(ValueError):
            figures = [each["figures"] for each in read(file).values()]
            found[file.stem] = {key: value for each in figures for key, value in each.items()}
    rows = [["", *found, "wanted"]]
    for comparison in COMPARISONS.values():
        for key, figure in comparison.figures.items():
            values = [of.get(key) for of in found.values()]
            shown = ["-" if value is None else f"{value:.3f}" for value in values]
            rows.append([key, *shown, figure.wish()])
    return table(rows)


if __name__ == "__main__":
    sys.exit(main())

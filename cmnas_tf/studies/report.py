"""What a study found, for people to read: ``study.md`` and pictures, beside ``study.json``."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cmnas_tf.charts import png
from cmnas_tf.errors import BadInput
from cmnas_tf.files import replacing, write_json, write_text
from cmnas_tf.studies.charts import charts_of
from cmnas_tf.studies.findings import MEASURES, findings
from cmnas_tf.studies.plan import Study
from cmnas_tf.tables import markdown_table

Findings = Mapping[str, Any]


def report(study: Study) -> str:
    """Writes ``study.json``, ``study.md`` and, with the extra ``report``, PNGs into the study's
    folder; gives the Markdown."""
    folder = study.folder
    found = findings(study)
    write_json(folder / "study.json", found)
    pictures = _pictures(found, folder)
    text = "\n".join([*_lines(found, study.comparison.subject), *pictures, ""])
    write_text(folder / "study.md", text)
    return f"{text}\nwritten to {folder / 'study.md'}"


def _pictures(found: Findings, folder: Path) -> list[str]:
    """Writes them; gives the lines that show them, or say why there are none."""
    try:
        drawn = {f"{name}.png": png(chart) for name, chart in charts_of(found).items()}
    except BadInput as error:
        return ["", f"There are no pictures: {error}"]
    for name, picture in drawn.items():
        with replacing(folder / name) as aside:
            aside.write_bytes(picture)
    return ["", *(f"![{name}]({name})" for name in drawn)] if drawn else []


def _lines(found: Findings, subject: str) -> Iterator[str]:
    yield f"# Does `{subject}` help?\n"
    for setting, by_measure in found["differences"].items():
        yield from _answers(setting, by_measure["mAP"], subject)
    if found["like_subject"]:
        names = ", ".join(f"`{name}`" for name in found["like_subject"])
        yield f"- With these flags `{subject}` is {names} as well."
    for setting, by_measure in found["scores"].items():
        yield f"\n## Scores: {setting}\n"
        yield "In percent: mean ± sample standard deviation, and the mean's 95 % interval (t).\n"
        yield from _scores(by_measure, found["rows"], found["chance"][setting])
        yield f"\n### `{subject}` minus the others, seed by seed\n"
        yield (
            "In points: mean difference and its 95 % interval; two-sided p of the paired t-test, "
            "corrected for the comparisons of a measure (Holm); Wilcoxon's from six seeds on.\n"
        )
        yield from _differences(found["differences"][setting])
    if found["searches"]:
        yield "\n## What the searches chose\n"
        yield from _searches(found["searches"])
    yield from _ranking(found["ranking"])
    yield from _stages(found["stages"], subject)
    if found["unfinished"]:
        yield "\n## Not finished\n"
        for name, message in found["unfinished"].items():
            yield f"- {name}: {message or 'not begun, or stopped'}"


def _answers(setting: str, differences: Findings, subject: str) -> Iterator[str]:
    for other, difference in differences.items():
        mean, interval = difference["mean"], difference["interval"]
        if interval is None:
            certainty = "one seed says nothing of its certainty"
        elif interval[0] > 0 or interval[1] < 0:
            certainty = f"the 95 % interval is {_range(interval, '+.1f')}"
        else:
            certainty = f"the 95 % interval {_range(interval, '+.1f')} includes zero"
        yield f"- {setting}: mAP {_points(mean)} against `{other}`; {certainty}."


def _scores(by_measure: Findings, rows: Sequence[str], chance: Findings) -> Iterator[str]:
    cells = [_shown_score({"mean": chance[m], "interval": None}) for m in MEASURES]
    lines = [["chance", "", *cells]]
    for row in rows:
        if row in by_measure["mAP"]:
            scores = [by_measure[measure][row] for measure in MEASURES]
            lines.append([f"`{row}`", str(scores[0]["number"]), *map(_shown_score, scores)])
    yield markdown_table(["", "seeds", *MEASURES.values()], lines)


def _shown_score(score: Findings) -> str:
    mean = f"{100 * score['mean']:.1f}"
    if score["interval"] is None:
        return mean
    return f"{mean} ± {100 * score['deviation']:.1f} ({_range(score['interval'])})"


def _differences(by_measure: Findings) -> Iterator[str]:
    lines = []
    for measure, name in MEASURES.items():
        for other, d in by_measure[measure].items():
            interval = _range(d["interval"], "+.1f") if d["interval"] else ""
            tests = [_shown_p(d[key]) for key in ("t_test", "adjusted", "wilcoxon")]
            lines.append([name, f"`{other}`", _points(d["mean"]), interval, *tests])
    head = ["", "against", "difference", "95 % interval", "p", "p, Holm", "p, Wilcoxon"]
    yield markdown_table(head, lines)


def _searches(searches: Findings) -> Iterator[str]:
    yield (
        "How alike the seeds' choices are (Jaccard: of sets this large, by chance as much as in "
        "brackets; Kendall: of the order of the decisions' probabilities), the range of those "
        "probabilities, and what a search costs.\n"
    )
    lines = []
    for name, found in searches.items():
        probabilities = [p for by in found["probabilities"].values() for p in by.values()]
        alike = ""
        if found["jaccard"] is not None:
            alike = f"{found['jaccard']:.2f} ({found['jaccard_by_chance']:.2f})"
        lines.append(
            [
                f"`{name}`",
                ", ".join(str(len(chosen)) for chosen in found["chosen"].values()),
                alike,
                _number(found["kendall"]),
                f"{min(probabilities):.2f} to {max(probabilities):.2f}",
                _number(found["seconds"], ".0f"),
                _number(found["trainings"], ".1f"),
            ]
        )
    head = ["", "chosen, by seed", "Jaccard", "Kendall", "probabilities", "seconds", "in trainings"]
    yield markdown_table(head, lines)


def _ranking(ranking: Findings) -> Iterator[str]:
    if not ranking["kendall"]:
        return
    yield "\n## Does the supernet rank architectures as their trainings do?\n"
    yield (
        "Kendall's tau of the mAP that the subject's supernet gives each architecture (on its "
        "architecture split, running statistics taken anew) and the mAP of its training:\n"
    )
    for seed, found in ranking["seeds"].items():
        yield f"- seed {seed}: {_number(found['kendall'])} of {len(found['architectures'])}"
    summary = ranking["kendall"]
    if summary["interval"]:
        low, high = summary["interval"]
        yield f"- mean: {summary['mean']:.2f} (95 % interval {low:.2f} to {high:.2f})"


def _stages(stages: Findings | None, subject: str) -> Iterator[str]:
    if not stages:
        return
    yield "\n## What separating a stage is worth\n"
    yield (
        f"By all {stages['trainings']} trainings together, in points of mAP (least squares: of a "
        "seed, and of each stage as much as of its norms are separate; trainings scatter around it "
        f"by {100 * stages['scatter']:.1f}):\n"
    )
    lines = [
        [
            f"`{stage}`",
            _points(found["worth"]),
            _range(found["interval"], "+.1f"),
            _number(found["separated"], ".0%"),
        ]
        for stage, found in stages["stages"].items()
    ]
    yield markdown_table(["", "worth", "95 % interval", f"separated by `{subject}`"], lines)


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _range(interval: Sequence[float], form: str = ".1f") -> str:
    low, high = (format(100 * value, form) for value in interval)
    return f"{low} to {high}"


def _shown_p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float | None, form: str = ".2f") -> str:
    return "" if value is None else format(value, form)

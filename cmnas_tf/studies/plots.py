"""Pictures of a study: scores by arm, what the searches chose, how the supernet ranks, and what
separating each stage is worth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cmnas_tf.files import replacing
from cmnas_tf.studies.findings import MEASURES

Findings = Mapping[str, Any]

_SUBJECT, _OTHERS, _SEEDS = "#b5400f", "#33567a", "#9aa7b4"
_DPI = 130
_MANY = 110  # columns that can still be read; every ResNet but the 152 layers deep has fewer sites


def save_plots(found: Findings, subject: str, folder: Path) -> list[str]:
    """Writes a picture for each measure, and of the choices, the ranking and the stages; gives the
    names of the files.

    Args:
      found: see ``findings.findings``; what it does not have gets no picture.
      subject: the arm that stands out.
    """
    figures = {
        f"{setting}_{measure}.png": _scores(by_row, found["rows"], subject, MEASURES[measure])
        for setting, by_measure in found["scores"].items()
        for measure, by_row in by_measure.items()
    }
    if subject in found["searches"]:
        figures["choices.png"] = _choices(found["searches"][subject], subject)
    if found["ranking"]["seeds"]:
        figures["ranking.png"] = _ranking(found["ranking"]["seeds"])
    if found["stages"]:
        figures["stages.png"] = _stages(found["stages"]["stages"], subject)
    for name, figure in figures.items():
        with replacing(folder / name) as aside:
            figure.savefig(aside, format="png", dpi=_DPI)
    return list(figures)


def _scores(by_row: Findings, rows: Sequence[str], subject: str, measure: str) -> Figure:
    """For each arm its seeds, their mean, and the mean's 95 % interval."""
    shown = [row for row in rows if row in by_row]
    figure, axes = _figure(7.0, 1.0 + 0.32 * len(shown))
    for place, row in enumerate(shown):
        score = by_row[row]
        colour = _SUBJECT if row == subject else _OTHERS
        seeds = [100 * value for value in score["seeds"].values()]
        axes.plot(seeds, [place + 0.25] * len(seeds), "o", color=_SEEDS, markersize=4, zorder=1)
        low, high = score["interval"] or (score["mean"], score["mean"])
        axes.plot([100 * low, 100 * high], [place, place], color=colour, linewidth=2, zorder=2)
        axes.plot(100 * score["mean"], place, "D", color=colour, markersize=6, zorder=3)
    axes.set_yticks(range(len(shown)), shown)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    # Of two seeds an interval is so long that the seeds could not be told apart beside it.
    values = [100 * value for row in shown for value in by_row[row]["seeds"].values()]
    margin = 0.5 * (max(values) - min(values)) + 0.5
    axes.set_xlim(min(values) - margin, max(values) + margin)
    axes.set_xlabel(f"{measure} in percent: seeds, mean, 95 % interval of the mean")
    axes.grid(axis="x", color="#e3e3e3")
    return figure


def _choices(search: Findings, subject: str) -> Figure:
    """How much each seed's search was for each decision; of very many, those that a seed made."""
    probabilities = search["probabilities"]
    names = list(next(iter(probabilities.values())))
    if len(names) > _MANY:
        made = {name for chosen in search["chosen"].values() for name in chosen}
        names = [name for name in names if name in made]
    table = [[by_name[name] for name in names] for by_name in probabilities.values()]
    figure, axes = _figure(2.5 + 0.22 * len(names), 2.6 + 0.3 * len(table))
    picture = axes.imshow(table, cmap="RdBu", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(table)), [f"seed {seed}" for seed in probabilities])
    axes.set_title(f"{subject}: probability of each decision", fontsize=10)
    figure.colorbar(picture, ax=axes, fraction=0.03, pad=0.02)
    return figure


def _ranking(seeds: Findings) -> Figure:
    """For each seed, the supernet's score of every architecture against that of its training."""
    figure, axes = _figure(5.5, 4.5)
    for seed, found in seeds.items():
        pairs = list(found["architectures"].values())
        tau = found["kendall"]
        label = f"seed {seed}" if tau is None else f"seed {seed}: tau {tau:.2f}"
        axes.plot(
            [100 * pair["supernet"] for pair in pairs],
            [100 * pair["trained"] for pair in pairs],
            "o",
            markersize=5,
            label=label,
        )
    axes.set_xlabel("mAP by the supernet, architecture split, in percent")
    axes.set_ylabel("mAP once trained, test people, in percent")
    axes.grid(color="#e3e3e3")
    axes.legend(fontsize=8)
    return figure


def _stages(stages: Findings, subject: str) -> Figure:
    """What separating each stage is worth, and how much of it the subject separated."""
    figure, axes = _figure(6.0, 1.4 + 0.4 * len(stages))
    for place, found in enumerate(stages.values()):
        low, high = (100 * bound for bound in found["interval"])
        axes.plot([low, high], [place, place], color=_OTHERS, linewidth=2)
        axes.plot(100 * found["worth"], place, "D", color=_OTHERS, markersize=6)
    axes.axvline(0, color="#555555", linewidth=1)
    axes.set_yticks(range(len(stages)), stages)
    axes.set_ylim(len(stages) - 0.4, -0.6)
    axes.set_xlabel("worth of separating it, in points of mAP, with 95 % interval")
    axes.grid(axis="x", color="#e3e3e3")
    shares = axes.secondary_yaxis("right")
    shares.set_yticks(
        range(len(stages)), [f"{found['separated']:.0%}" for found in stages.values()]
    )
    shares.set_ylabel(f"separated by {subject}")
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.set_axisbelow(True)
    return figure, axes

"""Charts of a study: scores by arm, what the searches chose, how the supernet ranks, and what
separating each stage is worth."""

from collections.abc import Mapping, Sequence
from typing import Any

from cmnas_tf.charts import BLUE, GREY, LINES, ORANGE, Chart, chart, decisions, layer, number, words
from cmnas_tf.studies.findings import MEASURES

Findings = Mapping[str, Any]

_ROW = {"step": 34}  # pixels
MANY = 110  # decisions that can still be read; every ResNet but the 152 layers deep has fewer sites


def charts_of(found: Findings) -> dict[str, Chart]:
    """By a name for its file, a chart with a title for each measure, the choices, the ranking and
    the stages; what ``study.json`` does not have, be it an earlier version's, gets none."""
    settings = found["settings"]
    subject = settings.get("comparison", settings)["subject"]
    drawn = {
        f"{setting}_{measure}": _scores(setting, measure, by_row, found["rows"], subject)
        for setting, by_measure in found["scores"].items()
        for measure, by_row in by_measure.items()
    }
    if subject in found["searches"]:
        drawn["choices"] = _choices(found["searches"][subject], subject)
    if found["ranking"]["seeds"]:
        drawn["ranking"] = _ranking(found["ranking"]["seeds"])
    if found["stages"]:
        drawn["stages"] = _stages(found["stages"]["stages"], subject)
    return drawn


def _scores(
    setting: str, measure: str, by_row: Findings, rows: Sequence[str], subject: str
) -> Chart:
    """For each arm its seeds, their mean, and the mean's 95 % interval."""
    shown = [row for row in rows if row in by_row]
    seeds = [
        {"arm": row, "score": _percent(value), "seed": str(seed)}
        for row in shown
        for seed, value in by_row[row]["seeds"].items()
    ]
    # Of two seeds an interval is so long that the seeds could not be told apart beside it.
    values = [_percent(value) for row in shown for value in by_row[row]["seeds"].values()]
    margin = 0.5 * (max(values) - min(values)) + 0.5
    scale = {"domain": [min(values) - margin, max(values) + margin], "nice": False}
    arm = words("arm", "arm")
    score = number("score", f"{MEASURES[measure]} in percent", scale=scale)
    point = {"type": "point", "filled": True, "color": GREY, "size": 30, "yOffset": 9, "clip": True}
    of_seed = [arm, score, words("seed", "seed")]
    return chart(
        layer(seeds, point, {"y": arm, "x": score, "tooltip": of_seed}),
        *_means({row: by_row[row] for row in shown}, "mean", arm, score, subject),
        title=f"{setting}: {MEASURES[measure]} of seeds, and their mean with its 95 % interval",
        height=_ROW,
    )


def _means(found: Findings, mean: str, y: Chart, x: Chart, subject: str = "") -> list[Chart]:
    """Layers of means and their intervals, where there are such, by what stands in rows."""
    values = [
        {
            y["field"]: row,
            x["field"]: _percent(by[mean]),
            "low": _percent((by["interval"] or [by[mean]])[0]),
            "high": _percent((by["interval"] or [by[mean]])[-1]),
            "about": row == subject,
        }
        for row, by in found.items()
    ]
    colours = {"domain": [False, True], "range": [BLUE, ORANGE]}
    shared = {
        "y": y,
        "color": {"field": "about", "type": "nominal", "scale": colours, "legend": None},
        "tooltip": [y, x, number("low", "from"), number("high", "to")],
    }
    line = {"type": "rule", "size": 2, "clip": True}
    diamond = {"type": "point", "shape": "diamond", "filled": True, "opacity": 1, "size": 90}
    return [
        layer(values, line, {**shared, "x": {**x, "field": "low"}, "x2": {"field": "high"}}),
        layer(values, diamond, {**shared, "x": x}),
    ]


def _choices(search: Findings, subject: str) -> Chart:
    """How much each seed's search was for each decision; of very many, those that a seed made."""
    probabilities = search.get("probabilities") or search["leanings"]  # of an earlier version
    names = list(next(iter(probabilities.values()), ()))
    if len(names) > MANY:
        made = {name for chosen in search["chosen"].values() for name in chosen}
        names = [name for name in names if name in made]
    shown = {seed: {name: by[name] for name in names} for seed, by in probabilities.items()}
    title = f"{subject}: how strongly the search of each seed was for each decision"
    return decisions(shown, "seed", title=title, width={"step": 40})


def _ranking(seeds: Findings) -> Chart:
    """For each seed, the supernet's score of every architecture against that of its training."""
    values = [
        {"architecture": name}
        | {"seed": str(seed) if found["kendall"] is None else f"{seed}: tau {found['kendall']:.2f}"}
        | {kind: _percent(pair[kind]) for kind in ("supernet", "trained")}
        for seed, found in seeds.items()
        for name, pair in found["architectures"].items()
    ]
    any_origin = {"zero": False}
    encoding = {
        "x": number(
            "supernet", "mAP by the supernet, architecture split, in percent", scale=any_origin
        ),
        "y": number("trained", "mAP once trained, test people, in percent", scale=any_origin),
        "color": words("seed", "seed"),
        "shape": words("seed", "seed"),
        "detail": words("architecture", "architecture"),
    }
    title = "Does the supernet rank architectures as their trainings do?"
    mark = {"type": "point", "filled": True, "size": 60}
    return chart(layer(values, mark, encoding), title=title, width=480, height=360)


def _stages(stages: Findings, subject: str) -> Chart:
    """What separating each stage is worth, and how much of it the subject separated."""
    shares = {stage: by["separated"] for stage, by in stages.items()}
    found = {s if shares[s] is None else f"{s} ({shares[s]:.0%})": by for s, by in stages.items()}
    stage = words("stage", f"stage (how much of it {subject} separated)")
    colour = {"condition": {"test": "!datum.value", "value": GREY}, "value": LINES}  # at 0
    worth = number("worth", "worth of it, in points of mAP", axis={"gridColor": colour})
    return chart(
        *_means(found, "worth", stage, worth),
        title="What separating each stage is worth, with the 95 % interval",
        height=_ROW,
    )


def _percent(value: float) -> float:
    return round(100 * value, 2)

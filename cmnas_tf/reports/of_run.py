"""What the folder of a run has to show: the search, the training, what was measured, and whence."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import median_filter

from cmnas_tf.architecture import Architecture, plan_of
from cmnas_tf.charts import decisions
from cmnas_tf.evaluation.closer_look import Look
from cmnas_tf.evaluation.compare import rows
from cmnas_tf.evaluation.results_file import kind_of, read_all, read_look, results_files
from cmnas_tf.extras import needing
from cmnas_tf.genotype import INPUTS, KINDS, NODES
from cmnas_tf.reading import read_json
from cmnas_tf.reports import charts
from cmnas_tf.reports.page import Block, Cell, Figure, Section, Table
from cmnas_tf.reports.ranked_lists import ranked_lists
from cmnas_tf.retrieval.measure import MEASURES
from cmnas_tf.runs.run_folder import Description, RunFolder
from cmnas_tf.search_spaces import SPACES, SearchSpace
from cmnas_tf.studies.charts import MANY

_POINTS = 1000  # of a curve
_NARROW = 0.2  # a probability this near to an even one, as a part of that
_MAPPED = 1000  # images, however many a file has
_NEIGHBOURS = 3  # t-SNE wants this many times as many images as it takes for near each other
Blocks = Iterator[Block]
Curves = dict[str, list[tuple[float, float]]]


def sections(run: RunFolder) -> list[Section]:
    """All that there is to show of a run, be it finished or not.

    Raises:
      BadInput: it is no folder of a run, or a file of it is damaged.
    """
    description = run.describe()
    logged = _logged(run.tensorboard) if run.tensorboard.is_dir() else {}
    measured = read_all(run.path) if results_files(run) else {}
    found = [
        Section("What the search decided", list(_search(run, description))),
        Section("How it was trained", list(_training(logged))),
        *(_evaluation(record, file, run) for file, record in measured.items()),
        Section("Where it comes from", list(_origin(description))),
    ]
    return [section for section in found if section.blocks]


def _search(run: RunFolder, description: Description) -> Blocks:
    if description.command != "search":
        return
    name = description.settings.get("search_space", "norm")
    space = SPACES[name]()
    files = sorted(run.architecture_after(1).parent.glob("epoch_*.json"))
    derived = [Architecture.load(file) for file in files]
    every = [space.probabilities(architecture) for architecture in derived]
    kept = Architecture.load(run.architecture) if run.architecture.is_file() else None
    cells = list(_cells(kept)) if kept else []
    if every and every[-1]:
        names = every[-1] if len(every[-1]) <= MANY else space.chosen(derived[-1])
        even = 1 / max(map(len, space.decisions().values()))
        close = [name for name in names if abs(every[-1][name] - even) < _NARROW * even]
        shown: dict[Any, dict[str, float]] = {
            n: {name: by[name] for name in names} for n, by in enumerate(every, start=1)
        }
        said = "Blue: for it (for separate norms, where norms are searched); orange: against it."
        if kept and not cells:
            chosen = space.chosen(kept)
            shown["kept"] = {name: float(name in chosen) for name in names}
            said += " The last column: what was kept."
        if close:
            said += f" Nearly even at the end: {', '.join(close)}."
        title = f"How the search leaned, over {len(every)} epochs"
        yield Figure(title, decisions(shown, "epoch", even), said)
    if kept:
        yield from cells or [f"Kept: {space.describe(kept)}"]
        if run.fitness.is_file():
            yield _fitness(run, space, kept)


def _cells(kept: Architecture) -> Blocks:
    genotype, nodes = plan_of(kept.backbone).genotype, (*INPUTS, *NODES)
    for kind, cell in [(kind, genotype.cell(kind)) for kind in KINDS] if genotype else ():
        edges = [
            (nodes.index(source), nodes.index(node), operation)
            for node, sources in cell.items()
            for source, operation in sources.items()
        ]
        yield Cell(f"The {kind} cell", nodes, edges)


def _fitness(run: RunFolder, space: SearchSpace, kept: Architecture) -> Table:
    form = [{"fitness": {"mean_ap": float, "rank1": float}}]
    lines = []
    for found in read_json(run.fitness, form, "a list of fitnesses", "Remove it."):
        if "architecture" in found:
            measured, fitness = Architecture.from_json(found["architecture"]), found["fitness"]
            numbers = [f"{100 * fitness[name]:.1f}" for name in ("mean_ap", "rank1")]
            lines.append([space.describe(measured), *numbers, "kept" if measured == kept else "no"])
    head = ["architecture", "mAP", "Rank-1", "kept"]
    return Table("What the supernet retrieves of people it never saw, in percent", head, lines)


def _training(logged: Curves) -> Blocks:
    groups: dict[str, Curves] = {}
    for name, points in logged.items():
        group, _, term = name.rpartition("/")
        groups.setdefault(group, {})[term] = points
    groups.get("architecture", {}).pop("separate", None)  # a number of norms, no entropy
    for group, title in {
        "weights_loss": "Loss of the weights, by term",
        "architecture_loss": "Loss of the architecture, by term",
        "architecture": "How undecided the search was: entropy of a decision, mean, in bits",
        "held_out": "Retrieval of people who were held out",
        "test": "Retrieval of test people, measured in training",
        "learning_rate": "Learning rate",
        "memory": "Memory in use, in GiB: of the process, or the most that a GPU held until then",
        "time": "Seconds that a step takes, in the median of some steps, so that no pause counts",
    }.items():
        if group in groups:
            yield Figure(title, charts.curves(groups[group], "step", ""))


def _logged(folder: Path) -> Curves:
    """The scalars of TensorBoard's logs by name, and the time of steps; of many, some at random."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    log = EventAccumulator(str(folder), size_guidance={"tensors": _POINTS})
    log.Reload()
    kinds = {tag: log.SummaryMetadata(tag).plugin_data.plugin_name for tag in log.Tags()["tensors"]}
    events = {tag: log.Tensors(tag) for tag, kind in kinds.items() if kind == "scalars"}
    curves = {
        tag: [(event.step, float(make_ndarray(event.tensor_proto))) for event in of_tag]
        for tag, of_tag in events.items()
    }
    when = {e.step: e.wall_time for e in max(events.values(), key=len, default=[])}
    return {**curves, "time/of a step": _times(when)} if len(when) > 1 else curves


def _times(when: Mapping[int, float]) -> list[tuple[float, float]]:
    """By step the seconds it takes, in the median of eleven, from when each was done."""
    steps, seconds = np.array(sorted(when.items())).T
    taken = median_filter(np.diff(seconds) / np.diff(steps), 11, mode="nearest")
    return list(zip(steps[1:].tolist(), taken.tolist(), strict=True))


def _evaluation(record: Mapping[str, Any], file: Path, run: RunFolder) -> Section:
    head, *lines = rows([str(file)])
    blocks: list[Block] = [Table("In percent", head[2:], [line[2:] for line in lines])]
    for setting, by_chance in record["chance"].items():
        reached = ", ".join(f"{name} {100 * by_chance[m]:.1f}" for m, name in MEASURES.items())
        blocks.append(f"By chance, {setting}: {reached}.")
    look = read_look(file, run)
    if look is None:
        blocks.append("An earlier version measured this; evaluate it again to see its matches.")
    else:
        blocks += _looked(look)
    return Section(f"Measured: {', '.join(kind_of(record))}", blocks)


def _looked(look: Look) -> Blocks:
    curves = {
        setting: [(k, 100 * part) for k, part in enumerate(cmc, start=1)]
        for setting, cmc in look["cmc"].items()
    }
    yield Figure("Queries whose person is among the first k", charts.curves(curves, "k", "percent"))
    if precision := look.get("precision"):
        points = [(100 * i / (len(precision) - 1), 100 * p) for i, p in enumerate(precision)]
        yield Figure(
            "How many right ones are found, and how many wrong ones with them",
            charts.curves({"all_queries": points}, "recall in percent", "precision in percent"),
            "Mean over queries; the higher, the fewer wrong matches come before the right ones.",
        )
    for title, picture in ranked_lists(look).items():
        yield Figure(
            title,
            picture,
            "The query, then its first matches. A solid frame with a tick shows the same person, a "
            "dashed one with a cross another.",
        )
    if len(look["cameras"]) > 1:
        yield Figure(
            "Which cameras find each other",
            charts.cameras(look["cameras"]),
            "mAP of a camera's queries (of at most 1,000 in all) in another's images.",
        )
    yield Figure(
        "How far people are apart",
        charts.similarities(look["similarities"]),
        "The less the same person's pairs overlap those of different people, the better.",
    )
    mapped = look["mapped"][:_MAPPED]
    places = np.array([image["at"] for image in mapped])
    if len(places) > _NEIGHBOURS:
        with needing("report"):
            from sklearn.manifold import TSNE

        nearby = min(30, (len(places) - 1) / _NEIGHBOURS)
        found = TSNE(perplexity=nearby, init="pca", random_state=0).fit_transform(places)
        yield Figure(
            "Some people, mapped by t-SNE",
            charts.people(mapped, found.round(2).tolist()),
            "Near each other: alike. A good network draws a person's two modalities together.",
        )


def _origin(description: Description) -> Blocks:
    run = [["command", description.command], ["fingerprint of the images", str(description.data)]]
    yield Table("Run", ["what", "value"], run)
    settings = [[name, str(value)] for name, value in sorted(description.settings.items())]
    yield Table("All settings", ["setting", "value"], settings, folded=True)

"""The work of one cell: search, training, evaluation, and what is written down of them."""

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cmnas_tf.architecture import Architecture
from cmnas_tf.data import load_dataset
from cmnas_tf.data.index import Dataset
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.evaluate import evaluate_network
from cmnas_tf.evaluation.results_file import keep
from cmnas_tf.files import write_json
from cmnas_tf.reading import read_json
from cmnas_tf.retrieval.measure import MEASURES
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.searching.fitness import supernet_scores
from cmnas_tf.searching.search import find_architecture
from cmnas_tf.studies.plan import SCHEMA, StudyCell, of_part
from cmnas_tf.training.train import train_network
from cmnas_tf.training.trained import load_network

logger = logging.getLogger(__name__)


def run_cell(cell: StudyCell, threads: int = 0) -> None:
    """Does what is left to do of a cell with so many threads; writes its results last of all.

    Raises:
      BadInput: the cell that it depends on is not finished; and whatever stops a search, a training
        or an evaluation.
    """
    if cell.results() is None:
        RunFolder(cell.folder).wait_until_unused()
    if cell.results() is not None:
        logger.info("%s is there already", cell.results_file)
        return
    data, evaluating = cell.study.data, cell.study.evaluating
    dataset = load_dataset(data.layout, data.root, cell.trial)
    clocks = {name: cell.folder / f"{name}_seconds.json" for name in ("search", "train")}
    if cell.searching is not None:
        with timed(clocks["search"]), of_part("search"):
            found = find_architecture(
                dataset.of_modality(cell.searching.modality.modality),
                *cell.searching.make(),
                run_dir=cell.search_run.path,
                seed=cell.seed,
                threads=threads,
                **cell.searching.how.arguments(),
            )
        logger.info("%s", found)
    network, recipe = cell.training.network, cell.training.recipe
    with timed(clocks["train"]), of_part("train"):
        architecture = _architecture(cell)
        if cell.arm.draw:
            architecture.save(cell.folder / cell.train_run.architecture.name)
        train_network(
            dataset,
            architecture,
            recipe,
            run_dir=cell.train_run.path,
            seed=cell.seed,
            threads=threads,
            width=network.width,
            last_stride=network.last_stride,
            parts=network.parts,
            **cell.training.how.arguments(),
        )
    with of_part("evaluate"):
        scores = evaluate_network(
            load_network(cell.train_run, precision=evaluating.arithmetic.precision),
            dataset,
            evaluating.protocol.make(data.layout),
            evaluating.matching,
            devices=evaluating.how.devices,
            progress=evaluating.how.progress.progress,
        )
    logger.info("%s\n%s", scores, keep(scores.record, cell.train_run, scores.look))

    measured: Any = scores.record
    write_json(
        cell.results_file,
        {
            "schema": SCHEMA,
            "arm": cell.arm.name,
            "seed": cell.seed,
            "settings": cell.settings,
            "commit": measured["evaluation"]["commit"],
            "fingerprint": measured["dataset"]["fingerprint"],
            "architecture": architecture.to_json(),
            "decided": _decided(cell, architecture),
            "seconds": {name: seconds_in(clock) for name, clock in clocks.items()},
            "results": _values(measured["results"]),
            "chance": _values(measured["chance"]),
            "supernet_scores": _supernet_scores(cell, dataset),
        },
    )
    cell.failure_file.unlink(missing_ok=True)


def _architecture(cell: StudyCell) -> Architecture:
    """What it trains: found by its search, named, or drawn like what the subject's search found."""
    if cell.searching is not None:
        return Architecture.load(cell.search_run.architecture)
    if not cell.arm.draw:
        return cell.training.network.make()
    subject = cell.after
    assert subject is not None and subject.searching is not None
    found = subject.search_run.architecture
    if not found.is_file():
        raise BadInput(
            f"{cell.name} trains a random architecture like that of {subject.name}, which has not "
            f"found one yet. Do cell={subject.name} first."
        )
    space, _ = subject.searching.make()
    return space.random_like(Architecture.load(found), cell.seed * 1000 + cell.arm.draw)


def _supernet_scores(cell: StudyCell, dataset: Dataset) -> dict[str, Any] | None:
    """What the subject's supernet says of what the seed trains; None of other cells
    and where the subject is hand-drawn."""
    comparison = cell.study.comparison
    if not comparison.rank_check or cell.arm.name != comparison.subject or cell.searching is None:
        return None
    space, algorithm = cell.searching.make()
    others = [other for other in cell.study.of_seed(cell.seed) if other.searching is None]
    scores = supernet_scores(
        dataset.of_modality(cell.searching.modality.modality),
        space,
        algorithm,
        {each.arm.name: _architecture(each) for each in (cell, *others)},
        cell.search_run,
        cell.seed,
        cell.searching.how.devices,
    )
    return scores or None


def _decided(cell: StudyCell, architecture: Architecture) -> dict[str, Any] | None:
    """What its search chose, and how strongly; None where it does not search."""
    if cell.searching is None:
        return None
    space, _ = cell.searching.make()
    probabilities = dict(space.probabilities(architecture))
    return {"chosen": space.chosen(architecture), "probabilities": probabilities}


def _values(results: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {
        setting: {measure: found[measure] for measure in MEASURES}
        for setting, found in results.items()
    }


@contextlib.contextmanager
def timed(file: Path) -> Iterator[None]:
    """Adds the seconds of the block to those in ``file``, also when the block is left early.

    A process that is killed cannot say how long it worked: the sum is unknown from then on.
    """
    before = seconds_in(file) if file.exists() else 0.0
    write_json(file, None)
    started = time.monotonic()
    try:
        yield
    finally:
        if before is not None:
            write_json(file, before + time.monotonic() - started)


def seconds_in(file: Path) -> float | None:
    """The seconds in ``file``; None where they are not known."""
    if not file.is_file():
        return None
    return read_json(file, int | float | None, "a number of seconds", "Remove it.")

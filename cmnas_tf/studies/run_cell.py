"""The work of one cell: search, training, evaluation, and what is written down of them."""

from dataclasses import replace
from typing import Any

from cmnas_tf.architecture import Architecture
from cmnas_tf.data import load_dataset
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.evaluate import evaluate
from cmnas_tf.evaluation.measure import MEASURES
from cmnas_tf.evaluation.results_file import NAME, read_results
from cmnas_tf.files import write_json
from cmnas_tf.search_spaces.named_architecture import named_architecture
from cmnas_tf.searching.fitness import supernet_scores
from cmnas_tf.searching.search import search
from cmnas_tf.searching.spaces import SearchSpace, search_space
from cmnas_tf.studies.plan import FAILURE, RESULTS, SCHEMA, Cell, Study
from cmnas_tf.studies.stopwatch import seconds_in, timed
from cmnas_tf.training.train import train

_FOUND = "architecture.json"


def work(study: Study, cell: Cell) -> None:
    """Does what is left to do of a cell, and writes its ``results.json`` last of all.

    Raises:
      BadInput: the cell that it depends on is not finished; and whatever stops a search, a training
        or an evaluation.
    """
    if cell.results() is not None:
        print(f"{cell.folder / RESULTS} is there already")
        return
    _require_unseen_people(cell)
    clocks = {name: cell.folder / f"{name}_seconds.json" for name in ("search", "train")}
    if cell.search is not None:
        with timed(clocks["search"]):
            search(cell.search)
    training = replace(
        cell.train, schedule=replace(cell.train.schedule, architecture=_architecture(cell))
    )
    with timed(clocks["train"]):
        train(training)
    print(evaluate(cell.evaluate))

    architecture = Architecture.load(cell.folder / "train" / _FOUND)
    measured = read_results(cell.folder / "train" / NAME)
    scores = None
    if study.options.comparison.rank_check and cell.arm.name == study.options.comparison.subject:
        assert cell.search is not None
        scores = supernet_scores(cell.search, _architectures(study, cell))
    write_json(
        cell.folder / RESULTS,
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
            "supernet_scores": scores,
        },
    )
    (cell.folder / FAILURE).unlink(missing_ok=True)


def _require_unseen_people(cell: Cell) -> None:
    """Raises BadInput if somebody is both trained on and tested on."""
    data = cell.train.data
    dataset = load_dataset(data.dataset, data.data_dir, data.trial)
    if both := set(dataset.train.pids.tolist()) & set(dataset.test.pids.tolist()):
        raise BadInput(
            f"{len(both)} identities of {data.data_dir} are in training and in test images (among "
            f"them {min(both)}); a study of them would say nothing about strangers."
        )


def _architecture(cell: Cell) -> str:
    """What ``--architecture`` of its training takes."""
    if cell.search is not None:
        return str(cell.folder / "search" / _FOUND)
    if not cell.arm.draw:
        return cell.arm.architecture
    file = cell.folder / _FOUND
    _drawn(cell).save(file)
    return str(file)


def _drawn(cell: Cell) -> Architecture:
    """The random architecture of a cell, like the one that the subject's search found."""
    subject = cell.after
    assert subject is not None and subject.search is not None
    found = subject.folder / "search" / _FOUND
    if not found.is_file():
        raise BadInput(
            f"{cell.name} trains a random architecture like that of {subject.name}, which has not "
            f"found one yet. Do --cell={subject.name} first."
        )
    return _space(subject).random_like(Architecture.load(found), cell.seed * 1000 + cell.arm.draw)


def _space(cell: Cell) -> SearchSpace:
    assert cell.search is not None
    return search_space(cell.search)


def _architectures(study: Study, subject: Cell) -> dict[str, Architecture]:
    """By arm, what the seed trains that is known once the subject's search has ended."""
    found = {subject.arm.name: Architecture.load(subject.folder / "search" / _FOUND)}
    for cell in study.of_seed(subject.seed):
        if cell.arm.draw:
            found[cell.arm.name] = _drawn(cell)
        elif cell.search is None:
            found[cell.arm.name] = named_architecture(cell.arm.architecture, cell.train.network)
    return found


def _decided(cell: Cell, architecture: Architecture) -> dict[str, Any] | None:
    """What its search chose, and how strongly; None where it does not search."""
    if cell.search is None:
        return None
    space = _space(cell)
    return {"chosen": space.chosen(architecture), "leanings": space.leanings(architecture)}


def _values(results: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {
        setting: {measure: found[measure] for measure in MEASURES}
        for setting, found in results.items()
    }

"""Random search: its budget, what it finds, and that a disturbed one ends like one left alone."""

import functools
import json
import os
import shutil
import signal

import numpy as np
import pytest

from cmnas_tf.architecture import Architecture
from cmnas_tf.errors import BadInput, Stopped
from cmnas_tf.retrieval import fitness
from cmnas_tf.runs.checkpoints import Checkpoints
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.search_spaces import CellSpace
from cmnas_tf.searching import (
    AlgorithmChoice,
    Darts,
    RandomSearch,
    bilevel,
    random_search,
)
from cmnas_tf.training import trainer
from tests.searching.small import SMALL, SPACE, find
from tests.tiny_people import TINY, write_people
from tests.training.commands import Command

# Two candidates, two epochs of each: four people with four visible images, half of which make an
# epoch of two steps of 4 x 2.
TWO = RandomSearch(epochs=2, candidates=2).with_values(**SMALL)


@pytest.fixture(scope="module")
def searched_once(people, one_block_throughout, tmp_path_factory):
    """What a search found, in a folder that nobody changes."""
    return find(people, TWO, tmp_path_factory.mktemp("runs") / "searched")


@pytest.fixture
def trained(searched_once, tmp_path):
    """A copy of its folder as it was before any candidate was measured."""
    folder = shutil.copytree(searched_once.run.path, tmp_path / "trained")
    for path in [*folder.glob("architecture.*"), *folder.glob("candidates/*/fitness.json")]:
        path.unlink()
    return folder


@pytest.fixture
def no_step(monkeypatch):
    """From when it is called, a step is a failure."""

    def must_not_run(*_):
        raise AssertionError("a step was taken")

    def forbid():
        for module in (trainer, bilevel):
            monkeypatch.setattr(module, "gradient_step", must_not_run)
        monkeypatch.setattr(fitness, "fitness", must_not_run)

    return forbid


@pytest.mark.parametrize(
    ("epochs", "candidates", "each"),
    [(60, 10, 12), (60, 120, 1), (1, 2, 1), (3, 2, 3), (5, 4, 2)],
)
def test_the_candidates_share_the_steps_of_a_bilevel_search(epochs, candidates, each):
    """Which takes two gradient steps at a time: 2 x 60 epochs are 12 for each of ten."""
    assert RandomSearch(epochs=epochs, candidates=candidates).epochs_each == each


def test_each_must_have_an_epoch():
    message = r"candidates=121 share epochs=60, .* none to each; give at most 120 candidates, or"
    with pytest.raises(BadInput, match=message):
        RandomSearch(epochs=60, candidates=121)
    with pytest.raises(BadInput, match="candidates=1 is out of range; it must be at least 2"):
        RandomSearch(candidates=1)


def test_it_has_options_of_its_own_and_none_of_darts():
    made = AlgorithmChoice(**{"algorithm": "random", "candidates": 4, "epochs": 7}).make()
    assert made == RandomSearch(candidates=4, epochs=7)
    for given, message in (
        ({"algorithm": "random", "order": "second"}, "order=second means nothing to algorithm=ran"),
        ({"candidates": 4}, "candidates=4 means nothing to algorithm=darts"),
    ):
        with pytest.raises(BadInput, match=message):
            AlgorithmChoice(**given).make()


@pytest.mark.slow
def test_it_finds_the_fittest_of_what_it_draws(people, one_block, searched_once):
    """Each candidate has a run of its own, of four steps; the same seed finds the same."""
    found = searched_once
    names = ["candidate_01", "candidate_02"]
    assert sorted(path.name for path in found.run.path.iterdir()) == [
        *("architecture.cfg", "architecture.json", "candidates", "latency.json", "run.json"),
        *("run.lock", "split.json"),
    ]
    drawn = {}
    for number, name in enumerate(names, start=1):
        run = RunFolder(found.run.candidates / name)
        assert run.newest().step == TWO.epochs_each * 2 == 4
        drawn[name] = Architecture.load(run.path)
        assert drawn[name] == SPACE.random(number)
        assert found.architecture.provenance["fitness"][name] == json.loads(
            (run.path / "fitness.json").read_text()
        )
    measured = found.architecture.provenance["fitness"]
    assert list(measured) == names and all(0 < value <= 1 for value in measured.values())
    chosen = found.architecture.provenance["chosen"]
    assert measured[chosen] == max(measured.values())
    assert found.architecture == drawn[chosen] == Architecture.load(found.run.path)
    assert found.cost.parameters > 0
    assert found.architecture.provenance["settings"]["algorithm"] == "random"
    assert found.architecture.provenance["settings"]["candidates"] == 2

    again = find(people, TWO)
    assert again.architecture == found.architecture
    assert again.architecture.to_json() == found.architecture.to_json()


@pytest.mark.slow
def test_among_equals_the_first_is_chosen_and_the_seed_decides_what_is_drawn(
    people, trained, monkeypatch
):
    equal = fitness.Fitness(0.5, 0.5, np.ones(1), np.ones(1, int))
    monkeypatch.setattr(fitness, "fitness", lambda *_: equal)
    one, other = find(people, TWO, trained), find(people, TWO, seed=7)
    assert one.architecture.provenance["chosen"] == "candidate_01"
    assert one.architecture == SPACE.random(1)
    assert other.architecture == SPACE.random(7001) != one.architecture


@pytest.mark.slow
def test_what_is_measured_is_the_retrieval_of_images_kept_apart(people, trained, monkeypatch):
    """By the weights of the last step, not by an average."""
    seen = []

    measure = fitness.fitness

    def measuring(network, source, rule):
        seen.append((network.get_weights(), set(source.images.paths)))
        assert rule == "sysu"
        return measure(network, source, rule)

    monkeypatch.setattr(fitness, "fitness", measuring)
    found = find(people, TWO, trained)
    assert len(seen) == 2
    split = json.loads(found.run.split.read_text())
    for number, (weights, paths) in enumerate(seen, start=1):
        assert paths == set(split["architecture"]) and not paths & set(split["weights"])
        newest = RunFolder(found.run.candidates / f"candidate_{number:02d}").newest()
        live = [x for name, x in newest.tensors.items() if name.startswith("network/")]
        assert len(live) == len(weights)
        assert sum(x.sum(dtype=np.float64) for x in live) == pytest.approx(
            sum(x.sum(dtype=np.float64) for x in weights), rel=1e-9
        )


@pytest.mark.slow
def test_a_finished_search_is_read_and_nothing_is_computed(
    people, one_block, searched_once, no_step
):
    folder = searched_once.run.path
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    no_step()
    again = find(people, TWO, folder)
    assert again.architecture.to_json() == searched_once.architecture.to_json()
    assert {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()} == before


@pytest.mark.slow
def test_a_begun_search_is_not_mixed_with_another(
    people, one_block, no_step, tmp_path, monkeypatch
):
    """Asked to stop within its first candidate; no other options, and no other algorithm, then."""

    def stop(self, step, *arguments):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return save(self, step, *arguments)

    with monkeypatch.context() as patch:
        save = Checkpoints.save
        patch.setattr(Checkpoints, "save", stop)
        with pytest.raises(Stopped, match="SIGTERM after step 3"):
            find(people, TWO, tmp_path)
    no_step()
    for other, seed, message in (
        (TWO.with_values(margin=0.1), 0, r"other settings \(margin=0\.4 then, 0\.1 now\)"),
        (TWO.with_values(epochs=3, candidates=3), 0, r"\(epochs=2 then, 3 now, candidates=2 th"),
        (TWO, 1, r"\(seed=0 then, 1 now\)"),
        (Darts(epochs=2, warmup_epochs=1).with_values(**SMALL), 0, "algorithm='random' then, 'dar"),
    ):
        with pytest.raises(BadInput, match=message):
            find(people, other, tmp_path, seed=seed)


def test_what_does_not_fit_the_space_or_the_data_is_refused(people, one_block, tmp_path):
    for space, algorithm, message in (
        (CellSpace((1, 1)), TWO, "images are visible and infrared, and a search for cells takes"),
        (SPACE, TWO.with_values(identities_per_batch=5), "identities_per_batch=5, but there are o"),
    ):
        with pytest.raises(BadInput, match=message):
            find(people, algorithm, tmp_path / "run", space)
        assert not (tmp_path / "run").exists()


THREE = (*TINY, "--algorithm=random", "--candidates=3", "--epochs=3", "--checkpoint_every=1")


def noting(file, moment):
    """Notes in a file each fitness that was measured, and kills the process at a moment."""
    kill = functools.partial(os.kill, os.getpid(), signal.SIGKILL)
    measure, save = fitness.fitness, Checkpoints.save
    write_json = random_search.write_json

    def measuring(network, source, rule):
        if moment == "trained":
            kill()
        found = measure(network, source, rule)
        with file.open("a") as notes:
            notes.write(f"{found.mean_ap!r}\n")
        return found

    def saving(self, step, *arguments):
        of = self.folder.parent.name
        if (moment, of, step) == ("first step", "candidate_01", 1):
            kill()
        save(self, step, *arguments)
        if (moment, of, step) == ("in a candidate", "candidate_02", 4):
            self.wait()
            kill()

    def writing(path, value):
        of = path.parent.name
        if (moment, of) == ("measured", "candidate_02"):
            kill()
        write_json(path, value)
        if (moment, of) == ("between candidates", "candidate_01"):
            kill()

    fitness.fitness, Checkpoints.save = measuring, saving
    random_search.write_json = writing


@pytest.mark.slow
def test_killed_in_a_candidate_and_between_candidates(tmp_path):
    """One search, killed at every kind of moment, and one that is left alone: the same files, bit
    by bit, and no fitness is measured again that was written down."""
    data = f"--data_dir={write_people(tmp_path / 'people')}"
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    files = {run: tmp_path / f"{run.name}.txt" for run in (undisturbed, killed)}

    def search(run, moment, number):
        log, fault = tmp_path / f"log{number}", functools.partial(noting, files[run], moment)
        return Command("search", *THREE, data, f"--run_dir={run}", log=log, fault=fault).wait()

    code, said = search(undisturbed, "never", 0)
    assert code == 0, said
    moments = ["first step", "trained", "between candidates", "in a candidate", "measured"]
    for number, moment in enumerate(moments, start=1):
        code, said = search(killed, moment, number)
        assert code == -signal.SIGKILL, (moment, said)
        assert not (killed / "architecture.json").exists()
    code, said = search(killed, "never", 9)
    assert code == 0, said

    expected = files[undisturbed].read_text().splitlines()
    measured = files[killed].read_text().splitlines()
    # The second one was measured when the process was killed before it could be written down.
    assert measured == [expected[0], expected[1], expected[1], expected[2]]
    for path in ("architecture.json", "architecture.cfg", "split.json", "run.json"):
        assert (killed / path).read_bytes() == (undisturbed / path).read_bytes()
    for number in (1, 2, 3):
        one, other = (
            RunFolder(RunFolder(run).candidates / f"candidate_{number:02d}")
            for run in (undisturbed, killed)
        )
        assert one.newest().digest == other.newest().digest
        for name in ("fitness.json", "architecture.json"):
            assert (one.path / name).read_bytes() == (other.path / name).read_bytes()
    found = json.loads((killed / "architecture.json").read_text())
    assert [repr(value) for value in found["fitness"].values()] == expected
    assert not list(killed.rglob("*.tmp"))

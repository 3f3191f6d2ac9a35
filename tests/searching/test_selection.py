"""What is kept of a trained supernet."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmnas_tf.architecture import BACKBONES, SEPARATE, SHARED, Architecture
from cmnas_tf.data import Image, Images
from cmnas_tf.data.split import split_train
from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_json
from cmnas_tf.retrieval.fitness import Fitness
from cmnas_tf.search_spaces import CellSpace, NormSpace
from cmnas_tf.searching import Darts, fitness, selection
from cmnas_tf.searching.fitness import SupernetFitness
from cmnas_tf.searching.selection import SELECTIONS, Evolution, OfStages, fittest, of_selection
from tests.searching.small import SMALL, SPACE, find
from tests.tiny_people import ONE_BLOCK

RESNET18 = NormSpace("resnet18")
DERIVED = Architecture.separate_within("layer2", "resnet18")


class ByTable:
    """Stands for a supernet: the fitness of an architecture is a function of its choices."""

    def __init__(self, score, space=RESNET18):
        self.space, self.score, self.measured = space, score, {}

    def __call__(self, asked):
        assert not asked.provenance
        if asked not in self.measured:
            # Of 100 people, all the same: nothing is left to chance.
            value = float(self.score(asked))
            people = np.full(100, value)
            self.measured[asked] = Fitness(value, value, people, np.ones(100, int))
        return self.measured[asked]


def near(target):
    """Is 1 for a target, and less by a hundredth for each site that differs."""
    return lambda asked: (
        1 - 0.01 * sum(asked.choices[site] != choice for site, choice in target.choices.items())
    )


def test_hand_drawn_architectures_are_the_rules_people_use():
    drawn = RESNET18.hand_drawn()
    assert list(drawn) == [
        "shared",
        "separate",
        *(f"until:{stage}" for stage in ("stem", "layer1", "layer2", "layer3")),
        *(f"within:layer{n}" for n in (1, 2, 3, 4)),
    ]
    assert drawn["until:layer1"].strip() == "stem 0 | layer1 0000 | layer2 11111 | " + (
        "layer3 11111 | layer4 11111"
    )
    assert len(set(drawn.values())) == 10
    assert not CellSpace().hand_drawn()


@pytest.mark.parametrize("rule", RESNET18.hand_drawn())
def test_stages_finds_the_rule_that_fits(rule):
    right = RESNET18.hand_drawn()[rule]
    by_table = ByTable(near(right))
    found = OfStages().select(DERIVED, by_table, seed=0)
    assert found == right
    assert found.provenance["fitness"] == found.provenance["best_fitness"] == 1
    assert found.provenance["architectures_measured"] == len(by_table.measured) == 10
    assert "among 10" in of_selection(found) and "mAP 100.0\n" in of_selection(found)
    assert of_selection(DERIVED) == ""


def test_of_equals_the_smallest_is_taken_and_of_those_the_fittest():
    """All separate is ahead by less than a standard error of two that are smaller."""
    noise = np.random.default_rng(0).normal(0, 0.3, 100)
    queries = np.ones(100, int)

    def measured(mean, wiggle):
        return Fitness(mean, mean, mean + wiggle * noise, queries)

    smaller = [Architecture.separate_within(f"layer{n}", "resnet18") for n in (2, 3)]
    everything, nothing = Architecture.separate("resnet18"), Architecture.shared("resnet18")
    table = {
        everything: measured(0.51, 0),
        smaller[0]: measured(0.495, 1),
        smaller[1]: measured(0.50, 1),
        nothing: measured(0.40, 1),
    }
    assert fittest(table, RESNET18, tie_errors=1.0) == (everything, smaller[1])
    assert fittest(table, RESNET18, tie_errors=0.0) == (everything, everything)
    assert fittest(table, RESNET18, tie_errors=9.0) == (everything, nothing)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**20 - 1), st.integers(0, 9))
def test_evolution_is_never_worse_than_what_it_begins_with(code, seed):
    sites = RESNET18.decisions()
    choices = [SEPARATE if code >> n & 1 else SHARED for n in range(len(sites))]
    target = Architecture(dict(zip(sites, choices, strict=True)), "resnet18")
    by_table = ByTable(near(target))
    found = Evolution(evaluations=40, tie_errors=0.0).select(DERIVED, by_table, seed)
    assert len(by_table.measured) <= 40
    begun = [*RESNET18.hand_drawn().values(), DERIVED]
    assert by_table(Architecture(found.choices, "resnet18")).mean_ap >= max(
        by_table(first).mean_ap for first in begun
    )
    again = ByTable(near(target))
    assert Evolution(evaluations=40, tie_errors=0.0).select(DERIVED, again, seed) == found
    assert list(again.measured) == list(by_table.measured)


def test_evolution_climbs():
    """From hand-drawn architectures to one that is four sites away from all of them."""
    sites = list(RESNET18.decisions())
    target = Architecture(
        {site: SEPARATE if n % 5 < 2 else SHARED for n, site in enumerate(sites)}, "resnet18"
    )
    by_table = ByTable(near(target))
    begun = max(near(target)(first) for first in RESNET18.hand_drawn().values())
    found = Evolution(evaluations=200, tie_errors=0.0).select(DERIVED, by_table, seed=0)
    assert found.provenance["fitness"] >= begun + 0.04


def test_what_a_selection_cannot_do_is_refused():
    rows = [(pid, 1, "visible") for pid in (1, 1, 2, 2, 3, 3, 4, 4)]
    images = Images.of(Image(f"{n}.jpg", *row) for n, row in enumerate(rows))
    split = split_train(images, "identities", 0)
    with pytest.raises(BadInput, match="hand-drawn architectures, and this search space has none"):
        OfStages().check(CellSpace(), split)
    with pytest.raises(BadInput, match="those of this search space depend on each other"):
        SELECTIONS["perturbation"]().check(CellSpace(), split)
    for known in SELECTIONS.values():
        known().check(RESNET18, split)
    alone = split_train(images[:4], "identities", 0)
    for name, known in SELECTIONS.items():
        if name != "logits":
            with pytest.raises(BadInput, match=r"people that are kept from the weights, .* is 1"):
                known().check(RESNET18, alone)
    with pytest.raises(BadInput, match=r"There is no selection 'stage'.*stages"):
        SELECTIONS["stage"]


def darts(**options):
    known = {"epochs": 2, "warmup_epochs": 1, "split": "identities", **SMALL}
    return Darts(epochs=2, warmup_epochs=1).with_values(**{**known, **options})


def test_fitness_needs_people_whom_the_weights_never_saw(eight_people, one_block, tmp_path):
    message = "split=within_identity leaves none. Give split=identities"
    with pytest.raises(BadInput, match=message):
        find(eight_people, darts(selection="stages", split="within_identity"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def trained_once(eight_people, tmp_path_factory):
    """The folder of a search, which nobody changes."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES.entries, "resnet18", ONE_BLOCK)
        find(eight_people, darts(), folder)
    return folder


def unselected(run, folder, name):
    """A copy of a run as it was before it selected, and as if told to do so by this selection."""
    shutil.copytree(run, folder)
    for path in folder.glob("*.*"):
        if path.name.startswith(("architecture.", "fitness.", "latency.")):
            path.unlink()
    described = json.loads((folder / "run.json").read_text())
    described["settings"]["selection"] = name
    write_json(folder / "run.json", described)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stages", "perturbation", "evolution"])
def test_a_search_keeps_what_is_selected_and_a_killed_one_measures_nothing_twice(
    name, eight_people, trained_once, one_block, tmp_path, monkeypatch
):
    """Its fitness is in the run's folder, and measured again it is the same. Nor does a finished
    search measure anything, or read an image for it, when asked again."""
    measure, done, killed_after = SupernetFitness._measure, [], None

    def counting(self):
        if len(done) == killed_after:
            raise KeyboardInterrupt
        done.append(measure(self))
        return done[-1]

    monkeypatch.setattr(SupernetFitness, "_measure", counting)
    one = unselected(trained_once, tmp_path / "one", name)
    undisturbed = find(eight_people, darts(selection=name), one)
    kept = json.loads((tmp_path / "one" / "fitness.json").read_text())
    assert undisturbed.architecture == Architecture.load(tmp_path / "one")
    by_architecture = {
        Architecture.from_json(each["architecture"]): each["fitness"]["mean_ap"]
        for each in kept
        if "architecture" in each
    }
    provenance = undisturbed.architecture.provenance
    assert provenance["fitness"] == by_architecture[undisturbed.architecture]
    assert provenance["settings"]["selection"] == name

    in_all, done[:], killed_after = len(done), [], 3
    killed = unselected(one, tmp_path / "two", name)
    with pytest.raises(KeyboardInterrupt):
        find(eight_people, darts(selection=name), killed)
    assert not (killed / "architecture.json").exists()
    assert len(json.loads((killed / "fitness.json").read_text())) == 3
    done[:], killed_after = [], None
    resumed = find(eight_people, darts(selection=name), killed)
    assert len(done) == in_all - 3
    assert resumed.architecture == undisturbed.architecture
    one, two = (tmp_path / name / "fitness.json" for name in ("one", "two"))
    assert one.read_text() == two.read_text()

    again = fitness.supernet_scores(
        eight_people, SPACE, darts(selection=name), {"kept": resumed.architecture}, resumed.run, 0
    )
    kept_fitness = by_architecture[undisturbed.architecture]
    assert again["kept"] == pytest.approx(kept_fitness, abs=1e-6)
    done[:], killed_after = [], 0
    monkeypatch.setattr(SupernetFitness, "_statistics_from", None)
    read = find(eight_people, darts(selection=name), killed)
    assert read.architecture == undisturbed.architecture


@pytest.mark.slow
def test_a_fitness_that_is_not_finite_ends_the_search_with_a_reason(
    eight_people, trained_once, one_block, tmp_path, monkeypatch
):
    """The weights are kept: another selection goes on from them."""
    run = unselected(trained_once, tmp_path / "run", "stages")

    def broken(network, modality, flip_average, images):
        return np.full((len(images), network.embedding_size), np.nan, np.float32)

    with monkeypatch.context() as patched:
        patched.setattr(fitness, "embed_graph", broken)
        with pytest.raises(BadInput, match="NaN or infinite embeddings cannot be ranked"):
            find(eight_people, darts(selection="stages"), run)
    assert not (run / "architecture.json").exists()
    assert not (run / "fitness.json").exists()
    find(eight_people, darts(selection="stages"), run)


def test_logits_measure_nothing(eight_people, one_block, monkeypatch):
    monkeypatch.setattr(selection.ByFitness, "select", None)
    monkeypatch.setattr(fitness, "SupernetFitness", None)
    found = find(eight_people, darts(epochs=2, split="within_identity"))
    assert "fitness" not in found.architecture.provenance

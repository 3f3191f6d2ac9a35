"""Measuring: the right rows against each other, and means over trials."""

import json

import numpy as np
import pytest

from cmnas_tf.data import LAYOUTS
from cmnas_tf.data.camera_rules import QueryCounts
from cmnas_tf.data.index import Dataset, Image, Images
from cmnas_tf.data.protocols import SingleQuery
from cmnas_tf.data.regdb import RegdbProtocol
from cmnas_tf.data.sysu_mm01 import SysuProtocol
from cmnas_tf.errors import BadInput
from cmnas_tf.retrieval.measure import (
    MEASURES,
    Measured,
    TrialResult,
    chance,
    measure,
    require_measurable,
)
from cmnas_tf.retrieval.ranking import Ranking, rank
from cmnas_tf.retrieval.rerank import re_rank

# The cameras of the two layouts, and what they see.
CAMERAS = {
    "regdb": {1: "visible", 2: "infrared"},
    "sysu_mm01": {camera: "infrared" if camera in (3, 6) else "visible" for camera in range(1, 7)},
}


def dataset_of(layout, identities, images):
    """A data set that exists only as a table, sorted as a loader sorts it."""
    rows = Images.of(
        Image(f"cam{camera}/{pid}/{number}", pid, camera, modality)
        for camera, modality in CAMERAS[layout].items()
        for pid in range(1, identities + 1)
        for number in range(images)
    )
    return Dataset(layout, "nowhere", rows[:0], rows)


def embeddings_of(dataset, seed=0, identity=0.0):
    """Noise, plus ``identity`` times a direction that the images of an identity share."""
    random = np.random.default_rng(seed)
    of_identity = random.normal(size=(int(dataset.test.pids.max()) + 1, 16))
    x = random.normal(size=(len(dataset.test), 16)) + identity * of_identity[dataset.test.pids]
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def test_the_average_of_trials():
    """Rank-1 of 0.2 and 0.4 is 0.3; Rank-5 and beyond are the last entry where a CMC is shorter:
    (0.8 + 1.0) / 2 of CMCs with 3 and 20 entries."""
    long = np.linspace(0.4, 1.0, 20)
    found = Measured.average(
        "all_single_shot",
        {
            "a": TrialResult(
                Ranking(np.array([0.2, 0.5, 0.8]), 0.1, 0.05, np.array([0.1])),
                QueryCounts(counted=7, absent=1, hidden=2, rule="sysu"),
                gallery_seed=3,
            ),
            "b": TrialResult(
                Ranking(long, 0.3, 0.15, np.array([0.3])), QueryCounts(9, 0, 0, "sysu")
            ),
        },
    )
    assert found.setting == "all_single_shot"
    ranks = {"rank1": 0.3, "rank5": (0.8 + long[4]) / 2, "rank10": (0.8 + long[9]) / 2}
    assert found.values == pytest.approx({**ranks, "rank20": 0.9, "mAP": 0.2, "mINP": 0.1})
    assert list(found.values) == list(MEASURES)
    written = json.loads(json.dumps(found.to_json()))
    assert written["rank1"] == pytest.approx(0.3)
    assert written["rank20"] == pytest.approx(0.9)
    assert (written["mAP"], written["mINP"]) == (pytest.approx(0.2), pytest.approx(0.1))
    assert written["trials"] == {
        "a": {
            "gallery_seed": 3,
            "rank1": 0.2,
            "mAP": 0.1,
            "mINP": 0.05,
            "queries": 7,
            "skipped_queries": 3,
            "absent_queries": 1,
            "hidden_queries": 2,
        },
        "b": {
            "gallery_seed": None,
            "rank1": 0.4,
            "mAP": 0.3,
            "mINP": 0.15,
            "queries": 9,
            "skipped_queries": 0,
            "absent_queries": 0,
            "hidden_queries": 0,
        },
    }
    assert found.queries == QueryCounts(7, 1, 2, "sysu")


RERANK = {"k1": 5, "k2": 2, "lambda_value": 0.4, "distance": "squared_euclidean"}


@pytest.mark.parametrize("rerank", [None, RERANK], ids=["plain", "re-ranked"])
@pytest.mark.parametrize("layout", CAMERAS)
def test_every_trial_ranks_its_own_rows(layout, rerank):
    """Against ``rank`` on distances of rows that are looked up by their paths; re-ranked ones see
    the same camera rule."""
    dataset = dataset_of(layout, identities=6, images=3)
    embeddings = embeddings_of(dataset, identity=0.5)
    of_path = dict(zip(dataset.test.paths, embeddings, strict=True))
    found = {
        name: result.ranking
        for measured in measure(embeddings, dataset, rerank=rerank)
        for name, result in measured.trials.items()
    }
    expected = {}
    for trial in LAYOUTS[layout].protocol().trials_of(dataset):
        query, gallery = (
            np.stack([of_path[path] for path in part.paths]).astype(np.float64)
            for part in (trial.query, trial.gallery)
        )
        expected[trial.name] = rank(
            re_rank(query, gallery, **rerank) if rerank else -query @ gallery.T,
            trial.query.pids,
            trial.gallery.pids,
            trial.query.cameras,
            trial.gallery.cameras,
            trial.rule,
        )
    assert list(found) == list(expected)
    for name, ranking in expected.items():
        np.testing.assert_allclose(found[name].cmc, ranking.cmc, atol=1e-12)
        assert found[name].mean_ap == pytest.approx(ranking.mean_ap)
        assert found[name].mean_inp == pytest.approx(ranking.mean_inp)


def test_the_seeds_of_galleries_are_written_down():
    """Trial n of SYSU-MM01 draws with seed n - 1; RegDB draws nothing."""
    dataset = dataset_of("sysu_mm01", 3, 2)
    (measured,) = measure(embeddings_of(dataset), dataset, SysuProtocol(trials=3))
    assert [result.gallery_seed for result in measured.trials.values()] == [0, 1, 2]
    dataset = dataset_of("regdb", 3, 2)
    protocol = RegdbProtocol("visible_to_infrared")
    (measured,) = measure(embeddings_of(dataset), dataset, protocol)
    assert [result.gallery_seed for result in measured.trials.values()] == [None]


def test_what_cannot_be_measured_is_known_without_embeddings(monkeypatch):
    """Galleries that cannot be drawn, and re-ranking that does not fit into memory."""
    dataset = dataset_of("sysu_mm01", 3, 2)
    require_measurable(dataset, None, rerank=True)
    with pytest.raises(BadInput, match="shots=10"):
        require_measurable(dataset, SysuProtocol(shots=10), rerank=False)
    monkeypatch.setattr("cmnas_tf.retrieval.rerank.available_memory", lambda: 1000)
    require_measurable(dataset, None, rerank=False)
    with pytest.raises(BadInput, match="12 queries and 12 gallery images"):
        require_measurable(dataset, None, rerank=True)


def test_the_protocol_of_another_data_set_is_refused():
    """SYSU-MM01's gallery cameras would find RegDB's infrared queries among themselves."""
    dataset = dataset_of("regdb", 3, 2)
    for ask in (
        lambda p: measure(embeddings_of(dataset), dataset, p),
        lambda p: chance(dataset, p),
    ):
        with pytest.raises(
            BadInput, match=r"regdb is tested by RegdbProtocol.*SysuProtocol\(mode="
        ):
            ask(SysuProtocol())


def test_queries_without_a_match_are_skipped_and_counted():
    """Three of five queries count: of the others, one's identity is in the gallery only from the
    query's own camera, one's not at all. The distractor (identity 0) is nobody's match."""
    rows = Images.of(
        Image(f"{role}/{number}", pid, camera, "visible", role)
        for number, (role, pid, camera) in enumerate(
            [
                *(("query", 1, 1), ("query", 1, 2), ("query", 2, 1)),
                *(("query", 3, 1), ("query", 4, 1)),
                *(("gallery", 1, 1), ("gallery", 1, 2), ("gallery", 2, 2)),
                *(("gallery", 3, 1), ("gallery", 0, 2)),
            ]
        )
    )
    dataset = Dataset("market1501", "nowhere", rows[:0], rows)
    (measured,) = measure(embeddings_of(dataset), dataset)
    result = measured.trials["single_query"]
    assert (result.counts.counted, result.counts.skipped) == (3, 2)
    assert measured.queries == result.counts == QueryCounts(3, 1, 1, "market")
    assert str(result.counts) == (
        "5 queries, 3 count, 1 show people who are not in the gallery, "
        "1 show people who are in the gallery only from the query's own camera"
    )


def test_images_of_a_single_camera():
    """Nobody sees a match; known without embeddings, with the cause and two ways out. Without the
    camera rule all count, and the result says by its name that it is another one."""
    rows = Images.of(
        Image(f"{role}/{pid}", pid, 1, "visible", role)
        for role in ("query", "gallery")
        for pid in range(4)
    )
    dataset = Dataset("own_images", "nowhere", rows[:0], rows)
    for ask in (
        lambda: require_measurable(dataset, None, rerank=False),
        lambda: measure(embeddings_of(dataset), dataset),
    ):
        with pytest.raises(
            BadInput,
            match=r"4 queries, 0 count, 4 show people who are in the gallery only from the query's "
            r"own camera; number the cameras apart.* camera_rule=False",
        ):
            ask()
    without = SingleQuery(camera_rule=False)
    require_measurable(dataset, without, rerank=False)
    (measured,) = measure(embeddings_of(dataset, identity=1e3), dataset, without)
    assert measured.setting == "single_query_any_camera"
    assert (measured.values["rank1"], measured.queries.counted) == (1.0, 4)


def test_the_settings_of_a_table():
    """SYSU-MM01: both modes with 1 and 10 shots, and both samplings where asked for; what else
    was chosen stays. RegDB's default is all there is."""
    chosen = SysuProtocol(trials=2, gallery_sampling="official")
    standard = chosen.variants("standard")
    assert [(p.mode, p.shots) for p in standard] == [
        *(("all", 1), ("all", 10), ("indoor", 1), ("indoor", 10))
    ]
    assert {(p.trials, p.gallery_sampling) for p in standard} == {(2, "official")}
    every = chosen.variants("all")
    assert len(set(every)) == 8 and {p.gallery_sampling for p in every} == {"seeded", "official"}
    assert chosen.variants("given") == [chosen]
    assert RegdbProtocol().variants("all") == [RegdbProtocol()]


def test_settings_are_measured_apart():
    """RegDB: one trial for each direction. SYSU-MM01: ten trials of one setting."""
    dataset = dataset_of("regdb", 3, 2)
    both = measure(embeddings_of(dataset), dataset, RegdbProtocol("both"))
    assert [(m.setting, list(m.trials)) for m in both] == [
        ("visible_to_infrared", ["visible_to_infrared"]),
        ("infrared_to_visible", ["infrared_to_visible"]),
    ]
    dataset = dataset_of("sysu_mm01", 3, 2)
    (indoor,) = measure(embeddings_of(dataset), dataset, SysuProtocol(mode="indoor"))
    assert indoor.setting == "indoor_single_shot"
    assert len(indoor.trials) == 10
    rank1 = [result.ranking.cmc[0] for result in indoor.trials.values()]
    assert len(set(rank1)) > 1
    assert indoor.values["rank1"] == pytest.approx(np.mean(rank1))


def test_queries_without_a_match_are_counted():
    """Identity 1 is seen by cameras 2 and 3 alone, so its query of camera 3 sees no match; identity
    2 by cameras 1, 3 and 6. Three queries, of which one is skipped."""
    rows = Images.of(
        Image(f"cam{camera}/{pid}", pid, camera, CAMERAS["sysu_mm01"][camera])
        for pid, camera in ((2, 1), (1, 2), (1, 3), (2, 3), (2, 6))
    )
    dataset = Dataset("sysu_mm01", "nowhere", rows[:0], rows)
    (measured,) = measure(embeddings_of(dataset), dataset, SysuProtocol(trials=1))
    (result,) = measured.trials.values()
    assert (result.counts.counted, result.counts.skipped) == (2, 1)


def test_perfect_embeddings_are_measured_as_such():
    for layout in CAMERAS:
        dataset = dataset_of(layout, 6, 2)
        for measured in measure(embeddings_of(dataset, identity=1e3), dataset):
            assert measured.values == dict.fromkeys(MEASURES, 1.0)


def test_chance_is_what_a_guess_is_worth():
    """200 queries of 40 identities: a guess is right once in 40, give or take 0.011 (sd); the same
    floor every time."""
    dataset = dataset_of("regdb", 40, 5)
    for measured in chance(dataset):
        assert abs(measured.values["rank1"] - 1 / 40) < 4 * 0.011
        assert measured.values["mAP"] < 0.1
    assert [m.to_json() for m in chance(dataset)] == [m.to_json() for m in chance(dataset)]


def test_chance_follows_the_protocol():
    """A single direction has a single floor."""
    (only,) = chance(dataset_of("regdb", 5, 2), RegdbProtocol("infrared_to_visible"))
    assert only.setting == "infrared_to_visible"

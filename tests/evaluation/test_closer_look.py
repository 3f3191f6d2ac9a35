"""What an evaluation keeps for people to look at, by hand and against plain loops."""

import json

import numpy as np
import pytest

from cmnas_tf.data import LAYOUTS, load_dataset
from cmnas_tf.data.camera_rules import RULES
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.closer_look import FORM, closer_look
from cmnas_tf.evaluation.results_file import keep, read_look, results_files
from cmnas_tf.reading import misfit
from cmnas_tf.retrieval.measure import measure
from cmnas_tf.runs.run_folder import RunFolder
from tests.evaluation.records import record
from tests.tiny_people import write_people


@pytest.fixture(scope="module", params=["sysu_mm01", "market1501"])
def seen(request, tmp_path_factory):
    """A data set, embeddings that know its people a little, and the look at them."""
    root = write_people(tmp_path_factory.mktemp("people"), dataset=request.param, test_identities=6)
    dataset = load_dataset(request.param, root)
    random = np.random.default_rng(3)
    of_person = random.standard_normal((int(dataset.test.pids.max()) + 2, 8))
    embeddings = of_person[dataset.test.pids] + 2 * random.standard_normal((len(dataset.test), 8))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    embeddings = embeddings.astype(np.float32)
    protocol = LAYOUTS[dataset.layout].protocol()
    measured = measure(embeddings, dataset, protocol)
    look = closer_look(embeddings, dataset, protocol, measured)
    return dataset, embeddings, next(protocol.trials_of(dataset)), measured, look


def test_it_is_json_of_its_form_and_the_same_again(seen):
    dataset, embeddings, _, measured, look = seen
    assert not misfit(json.loads(json.dumps(look)), FORM)
    again = closer_look(embeddings, dataset, LAYOUTS[dataset.layout].protocol(), measured)
    assert again == look
    assert look["root"] == str(dataset.root)


def test_the_curve_is_that_of_the_ranking(seen):
    *_, measured, look = seen
    for found in measured:
        cmc = look["cmc"][found.setting]
        assert cmc[0] == pytest.approx(found.values["rank1"])
        assert cmc == sorted(cmc) and cmc[-1] <= 1


def test_lists_are_the_best_matches_that_the_query_may_see(seen):
    dataset, embeddings, trial, measured, look = seen
    row_of = {path: row for row, path in enumerate(dataset.test.paths)}
    precision_of = dict(
        zip(
            trial.query.paths,
            measured[0].trials[trial.name].ranking.average_precisions,
            strict=True,
        )
    )
    kinds = {kind: [x for x in look["lists"] if x["kind"] == kind] for kind in ("worst", "best")}
    worst, best = ([x["precision"] for x in found] for found in kinds.values())
    counted = sorted(p for p in precision_of.values() if not np.isnan(p))
    assert worst == counted[: len(worst)] and best == counted[::-1][: len(best)]
    for each in look["lists"]:
        query, *matches = each["images"]
        assert each["precision"] == precision_of[query["name"]]
        asking, allowed = embeddings[row_of[query["name"]]], []
        for image in trial.gallery:
            same = np.array([[image.pid == query["pid"]]])
            camera = np.array([[query["camera"]]])
            if not RULES[trial.rule].drops(same, camera, np.array([image.camera])).any():
                allowed.append((-float(embeddings[row_of[image.path]] @ asking), image.path))
        expected = [path for _, path in sorted(allowed)][:10]
        assert [match["name"] for match in matches] == expected
        scores = [match["score"] for match in matches]
        np.testing.assert_allclose(scores, [-s for s, _ in sorted(allowed)[:10]], rtol=0, atol=1e-6)


def test_precision_by_recall_by_a_plain_loop(seen):
    """At a recall, the best precision of any longer list that finds as many or more."""
    dataset, embeddings, trial, _, look = seen
    row_of = {path: row for row, path in enumerate(dataset.test.paths)}
    curves = []
    for query in trial.query:
        scored = []
        for image in trial.gallery:
            same, camera = np.array([[image.pid == query.pid]]), np.array([[query.camera]])
            if not RULES[trial.rule].drops(same, camera, np.array([image.camera])).any():
                score = embeddings[row_of[query.path]] @ embeddings[row_of[image.path]]
                scored.append((-score, image.pid == query.pid))
        right = [hit for _, hit in sorted(scored, key=lambda pair: pair[0])]
        if any(right):
            cut = [
                (sum(right[:n]) / sum(right), sum(right[:n]) / n) for n in range(1, len(right) + 1)
            ]
            curves.append([max(p for r, p in cut if r >= k / 50 - 1e-9) for k in range(51)])
    np.testing.assert_allclose(look["precision"], np.mean(curves, axis=0), atol=1e-9)
    assert look["precision"] == sorted(look["precision"], reverse=True)


def test_pairs_of_cameras_by_a_plain_loop(seen):
    """A query of a camera, the images of another: the mean of the precisions at the right ones."""
    dataset, embeddings, trial, _, look = seen
    row_of = {path: row for row, path in enumerate(dataset.test.paths)}
    assert look["cameras"]
    for found in look["cameras"]:
        precisions = []
        for query in trial.query:
            gallery = [image for image in trial.gallery if image.camera == found["answering"]]
            if query.camera != found["asking"]:
                continue
            scored = []
            for image in gallery:
                same = np.array([[image.pid == query.pid]])
                cameras = np.array([[query.camera]]), np.array([image.camera])
                if not RULES[trial.rule].drops(same, *cameras).any():
                    score = embeddings[row_of[query.path]] @ embeddings[row_of[image.path]]
                    scored.append((-score, image.pid == query.pid))
            right = [hit for _, hit in sorted(scored, key=lambda pair: pair[0])]
            if any(right):
                hits = np.cumsum(right)
                precisions.append(np.mean([hits[i] / (i + 1) for i in np.flatnonzero(right)]))
        assert found["mAP"] == pytest.approx(np.mean(precisions), rel=1e-6)


def test_every_pair_of_images_is_of_one_kind(seen):
    dataset, embeddings, _, _, look = seen
    pairs = len(dataset.test) * (len(dataset.test) - 1) // 2
    assert sum(map(sum, look["similarities"].values())) == pairs
    pids, modalities = dataset.test.pids, dataset.test.modalities
    same = sum(
        pids[i] == pids[j] and modalities[i] != modalities[j]
        for i in range(len(pids))
        for j in range(i)
    )
    assert sum(look["similarities"]["the same person, other modality"]) == same
    upper = sum(n for found in look["similarities"].values() for n in found[50:])
    cosines = (embeddings @ embeddings.T)[np.triu_indices(len(pids), k=1)]
    assert upper == (cosines >= 0).sum()


def test_the_map_keeps_distances(seen):
    """All components of these embeddings are kept, so pairs are as far apart as they were."""
    dataset, embeddings, _, _, look = seen
    at = np.array([image["at"] for image in look["mapped"]])
    assert [image["pid"] for image in look["mapped"]] == dataset.test.pids.tolist()
    apart = np.linalg.norm(at[:, None] - at, axis=2)
    np.testing.assert_allclose(
        apart, np.linalg.norm(embeddings[:, None] - embeddings, axis=2), atol=1e-3
    )


def test_it_is_kept_with_its_results_and_read_again(seen, tmp_path):
    look, run = seen[-1], RunFolder(tmp_path)
    keep(record(), run)
    (file,) = results_files(run)
    assert read_look(file, run) is None  # as of an earlier version
    keep(record(), run, look)
    assert results_files(run) == [file]
    assert read_look(file, run) == json.loads(json.dumps(look))
    (kept,) = run.looks.iterdir()
    kept.write_text('{"root": 3}')
    with pytest.raises(BadInput, match="Evaluate that checkpoint again"):
        read_look(file, run)


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("similarities", "the same person, same modality", 0), -1),
        (("mapped", 0, "at"), [0.0]),
        (("mapped", 0, "at", 0), 2.5),
    ],
)
def test_numbers_that_no_look_has(seen, way, value, tmp_path):
    look, run = json.loads(json.dumps(seen[-1])), RunFolder(tmp_path)
    *places, last = way
    inner = look
    for place in places:
        inner = inner[place]
    inner[last] = value
    keep(record(), run, look)
    with pytest.raises(BadInput, match=r"is not what an evaluation saw .*Evaluate that checkpoint"):
        read_look(*results_files(run), run)


def test_places_of_one_dimension(seen, tmp_path):
    one = [{**image, "at": image["at"][:1]} for image in seen[-1]["mapped"]]
    keep(record(), RunFolder(tmp_path), {**seen[-1], "mapped": one})
    with pytest.raises(BadInput, match="not mapped to one space"):
        read_look(*results_files(RunFolder(tmp_path)), RunFolder(tmp_path))

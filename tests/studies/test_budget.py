"""What a study costs: steps counted by hand, and what a dry run says."""

from cmnas_tf.files import write_json
from cmnas_tf.studies.budget import describe, steps_of
from tests.studies.small import finish, study


def test_steps_by_hand(tmp_path):
    """1,000 images in batches of 64 rows: a training's epoch has 1000 // 64 + 1 = 16 steps, a
    search's, of half the images, 8. One seed: two searches of 8 epochs (64 steps each), and four
    trainings of 10 epochs (160 steps each)."""
    cells = study(tmp_path, arms=("shared", "random", "searched", "second_order"), seeds=1).cells()
    assert steps_of(cells, 1000) == (2 * 64, 4 * 160)
    rows = {"identities_per_batch": 8}  # 500 // 32 + 1 = 16 steps in an epoch
    (cell, *_) = study(tmp_path, seeds=1, search=rows).cells()
    assert steps_of([cell], 1000)[0] == 8 * 16


def test_a_random_search_counts_as_many_steps_as_its_epochs(tmp_path):
    """8 epochs of 8 steps, whatever its candidates."""
    search = {"algorithm": "random", "warmup_epochs": None}
    (cell, *_) = study(tmp_path, seeds=1, search=search).cells()
    assert steps_of([cell], 1000)[0] == 64


def test_of_a_data_set_that_is_not_there_the_published_size_counts(tmp_path):
    """SYSU-MM01: 22,258 visible images to train on, 348 steps in an epoch of a training and 174 in
    one of a search. Two seeds: 2 * 8 * 174 and 2 * 3 * 10 * 348."""
    text = describe(study(tmp_path, data={"root": str(tmp_path / "none")}), False)
    assert "6 cells: 2 searches, 6 trainings" in text
    assert "about 2784 search steps and 20880 training steps" in text


def test_cells_are_listed_with_how_they_stand(tmp_path):
    plan = study(tmp_path)
    first, second, *_ = plan.cells()
    finish(first)
    write_json(second.failure_file, {"exit_code": 3, "message": "the loss is nan"})
    lines = describe(plan, people_follow=True).splitlines()
    assert lines[0].split() == ["searched/seed0", "finished"]
    assert lines[1].split(maxsplit=1) == ["shared/seed0", "failed: the loss is nan"]
    assert lines[2].split(maxsplit=1) == ["random_1/seed0", "to do"]
    assert "known once there are images" in lines[-1]

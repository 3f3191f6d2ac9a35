"""A few queries with their matches, as a picture."""

import numpy as np
from PIL import Image

from cmnas_tf import tiles
from cmnas_tf.data.index import Image as Row
from cmnas_tf.data.index import Images
from cmnas_tf.retrieval.fitness import trial_among
from cmnas_tf.retrieval.ranked_lists import few_queries


def people(count):
    """Each seen twice in infrared and once in visible light; the last one never there."""
    rows = [
        Row(f"{pid}/{modality}{n}.jpg", pid, camera, modality)
        for pid in range(count)
        for modality, camera, times in (("infrared", 3, 2), ("visible", 1, int(pid < count - 1)))
        for n in range(times)
    ]
    return Images.of(rows)


def test_each_is_the_first_of_a_person_who_can_be_found(monkeypatch):
    """Of eight people five, spread over all; in each list the best match comes first."""
    drawn = []
    monkeypatch.setattr(tiles, "draw", lambda rows: drawn.extend(rows))
    images = people(9)
    embeddings = np.eye(9, dtype=np.float32)[images.pids] + 0.01
    opened = lambda row: Image.new("L", (1, 1), row)  # noqa: E731
    few_queries(trial_among(images, "sysu"), embeddings, images, opened)
    rows = [[tile.image.getpixel((0, 0)) for tile in line] for line in drawn]
    assert [images.paths[line[0]] for line in rows] == [
        f"{pid}/infrared0.jpg" for pid in (0, 1, 3, 5, 7)
    ]
    for line, shown in zip(rows, drawn, strict=True):
        assert images.paths[line[1]] == images.paths[line[0]].replace("infrared", "visible")
        assert [tile.right for tile in shown] == [None, True, *[False] * 7]
        assert shown[0].caption == (f"query {images.pids[line[0]]}", "camera 3")

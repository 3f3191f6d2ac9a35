"""Which entries of a gallery the matches in a picture are."""

import numpy as np
import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.serving.client.picture import gallery_entries
from cmnas_tf.serving.entries import Entry
from cmnas_tf.serving.gallery import Gallery


def gallery():
    """Three images of a, the first and the last of one camera; one of b."""
    entries = [Entry(f"{n}.jpg", i, c, "visible") for n, i, c in ("0a1", "1a2", "2b1", "3a1")]
    rows = np.array([[1, 0], [0.6, 0.8], [0.8, 0.6], [0, 1]], np.float32)
    return Gallery.of("digest", entries, rows)


def test_a_match_is_the_entry_whose_score_it_has():
    """Scores of the query (0.6, 0.8): 0.6, 1, 0.96, 0.8. So 0.8 of a on camera 1 is entry 3, and
    the next of a on camera 1 is entry 0, even with the same score."""
    query = np.array([0.6, 0.8], np.float32)
    found = [("a", "2", 1.0), ("b", "1", 0.96), ("a", "1", 0.8), ("a", "1", 0.8)]
    assert gallery_entries(gallery(), query, found) == [1, 2, 3, 0]


def test_another_gallery_is_noticed():
    query = np.array([0.6, 0.8], np.float32)
    with pytest.raises(BadInput, match=r"'b' and camera '1', .* not the gallery that was searched"):
        gallery_entries(gallery(), query, [("b", "1", 0.96), ("b", "1", 0.9)])


def test_an_embedding_of_another_network():
    with pytest.raises(BadInput, match="embeddings of 2 numbers, the answer one of 5"):
        gallery_entries(gallery(), np.ones(5, np.float32), [("b", "1", 0.9)])

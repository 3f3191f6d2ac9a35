"""Camera rules: which gallery images a query must not see, and which queries then count."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cmnas_tf.errors import BadInput


@dataclass(frozen=True)
class Rule:
    """What a protocol asks of a ranking."""

    # Which gallery images a query must not see: of ``same_identity`` [B, G], ``query_cameras``
    # [B, 1] and ``gallery_cameras`` [G] a boolean [B, G].
    drops: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    # Whether Rank-k means the first k identities (each stands where its best image stands) instead
    # of the first k images.
    counts_identities: bool
    hides: str  # where the images are that a query must not see, in words


def _nothing(same_identity, query_cameras, gallery_cameras):
    return np.zeros_like(same_identity)


def _camera_2_for_camera_3(same_identity, query_cameras, gallery_cameras):
    return (query_cameras == 3) & (gallery_cameras == 2)  # these two look into the same room


def _own_camera(same_identity, query_cameras, gallery_cameras):
    return same_identity & (query_cameras == gallery_cameras)


_OWN = "the query's own camera"
RULES = {
    "sysu": Rule(_camera_2_for_camera_3, True, "camera 2, which queries of camera 3 do not see"),
    "regdb": Rule(_nothing, False, "no camera"),
    "llcm": Rule(_own_camera, True, _OWN),
    "market": Rule(_own_camera, False, _OWN),
}


class QueryCounts(NamedTuple):
    """How many queries of a ranking count, and why the others do not."""

    counted: int  # those with a match that they see
    absent: int  # those whose identity is not in the gallery at all
    hidden: int  # those whose identity is in the gallery, but only where the rule hides it
    rule: str  # a name of RULES

    @classmethod
    def of(
        cls, query_ids: Any, gallery_ids: Any, query_cameras: Any, gallery_cameras: Any, rule: str
    ) -> "QueryCounts":
        """Counts by labels alone: identities and cameras [Q] of queries and [G] of a gallery."""
        cameras_of: dict[Any, set[Any]] = defaultdict(set)
        gallery = (np.asarray(labels).tolist() for labels in (gallery_ids, gallery_cameras))
        for identity, camera in zip(*gallery, strict=True):
            cameras_of[identity].add(camera)
        queries = (np.asarray(labels).tolist() for labels in (query_ids, query_cameras))
        found: Counter[str] = Counter()
        for (identity, camera), images in Counter(zip(*queries, strict=True)).items():
            cameras = np.array(list(cameras_of.get(identity, ())))
            same = np.ones((1, len(cameras)), bool)
            dropped = RULES[rule].drops(same, np.array([[camera]]), cameras)
            seen = "counted" if not dropped.all() else "hidden" if len(cameras) else "absent"
            found[seen] += images
        return cls(found["counted"], found["absent"], found["hidden"], rule)

    @property
    def skipped(self) -> int:
        """How many do not count."""
        return self.absent + self.hidden

    def require_any(self) -> None:
        """Raises BadInput where no query counts; it names the cause and the way out."""
        if self.counted:
            return
        out = (
            "check that both come from the same test set and that identities are raw ones, not "
            "labels"
        )
        if self.hidden:
            out = (
                "number the cameras apart, so that a person is seen by several; or take a protocol "
                "without a camera rule (where the data set says who asks: camera_rule=False), "
                "whose results are not to be compared with others"
            )
        raise BadInput(
            f"No query has a match in the gallery under the protocol {self.rule!r}, so there is "
            f"nothing to rank. Received: {self}; {out}."
        )

    def __str__(self) -> str:
        parts = [f"{self.counted + self.skipped} queries, {self.counted} count"]
        if self.absent:
            parts.append(f"{self.absent} show people who are not in the gallery")
        if self.hidden:
            parts.append(
                f"{self.hidden} show people who are in the gallery only from "
                f"{RULES[self.rule].hides}"
            )
        return ", ".join(parts)

"""What a study compares: the options, and the arms, each a search or a network to train."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmnas_tf.architecture import Backbone, hand_drawn
from cmnas_tf.errors import BadInput
from cmnas_tf.losses import LOSSES
from cmnas_tf.options import Options, advanced, option
from cmnas_tf.searching.selection import SELECTIONS

RANDOM = "random"
# Words that stand for an arm of each stage, after which ``architecture`` takes the stage's name.
BY_STAGE = ("until", "within")


@dataclass(frozen=True, kw_only=True)
class Comparison(Options):
    """What is compared; every arm with the same recipe, budget and seeds."""

    arms: tuple[str, ...] = option(
        (
            "shared",
            "separate",
            "until",
            "within",
            "random",
            "searched",
            "no_c3mmd",
            "no_mmd",
            "no_correlation",
            "gumbel",
            "second_order",
            "by_identity",
            "within_identity",
            "batch_statistics",
        ),
        "The contenders: searches that cmnas_tf/studies/arms.py names (no_LOSS for every loss: "
        "ablations; by_SELECTION; random_search: the baseline), but for those that are the "
        "subject's with the options given, random, until and within for each stage, and all that "
        "the option architecture of a training takes.",
    )
    subject: str = option(
        "searched", "The arm in question: differences are its score minus another arm's."
    )
    against: tuple[str, ...] = option(
        ("shared", "separate", "random"), "Arms that the subject is tested against."
    )
    seeds: int = option(5, "Seeds, 0 to one less than this; each does every arm.", minimum=1)
    random_architectures: int = advanced(
        3,
        "Random architectures of each seed, as many separate sites (or parameters) as the "
        "subject's; their mean is the arm's score.",
        minimum=1,
    )
    rank_check: bool = advanced(
        True,
        "Also let the subject's supernet score each seed's architectures, to see whether it ranks "
        "them as their trainings do.",
    )
    quick: bool = option(
        False,
        "Only to see that everything works together: 2 seeds, the subject and what it is "
        "tested against, a quarter of the epochs. Give it a `run_dir` of its own.",
    )


def searches() -> dict[str, dict[str, Any]]:
    """By arm, the options in which its search differs from the study's own.

    C3MMD guides the search [pub], so the arms without it, or without another loss, leave it out of
    the architecture's loss; the weights' loss, and every training, stay the same (our choice: the
    paper does not say which it left out).
    """
    return {
        "searched": {},
        "no_c3mmd": {"architecture_correlation_weight": 0.0, "architecture_mmd_weight": 0.0},
        **{f"no_{loss}": {f"architecture_{loss}_weight": 0.0} for loss in LOSSES},
        "gumbel": {"relaxation": "gumbel"},
        "gdas": {"relaxation": "gdas"},
        "second_order": {"order": "second"},
        "by_identity": {"split": "identities"},
        "within_identity": {"split": "within_identity"},
        "batch_statistics": {"architecture_statistics": "batch"},
        "classification": {"objective": "classification"},
        "darts_cells": {"search_space": "darts_cells"},
        "one_shot": {"algorithm": "one_shot", "split": "identities"},
        "random_search": {"algorithm": "random"},
        **{f"by_{selection}": {"selection": selection} for selection in SELECTIONS},
    }


@dataclass(frozen=True)
class Arm:
    """A contender."""

    name: str  # of its folder and of its row
    # The options in which its search differs from the study's own; None where it does not search.
    changes: Mapping[str, Any] | None = field(default=None, hash=False)
    architecture: str = ""  # what it trains, a word or a file; empty where that is found or drawn
    draw: int = 0  # which of the seed's random architectures it trains, from 1; 0 for none

    @property
    def row(self) -> str:
        """The name under which its scores are averaged."""
        return RANDOM if self.draw else self.name


def arms_of(words: Sequence[str], backbone: Backbone, draws: int) -> list[Arm]:
    """The arms that words name, in their order.

    Args:
      words: names of :func:`searches`, ``random``, ``until``, ``within``, and whatever the option
        ``architecture`` of a training takes.
      backbone: that is trained.
      draws: number of random architectures.

    Raises:
      BadInput: two arms have the same name.
    """
    arms = [arm for word in words for arm in _arms(word, backbone, draws)]
    names = [arm.name for arm in arms]
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadInput(f"arms={','.join(words)} names {twice[0]} twice; leave one out.")
    return arms


def _arms(word: str, backbone: Backbone, draws: int) -> Iterator[Arm]:
    known = searches()
    if word in known:
        yield Arm(word, changes=known[word])
    elif word == RANDOM:
        for draw in range(1, draws + 1):
            yield Arm(f"{RANDOM}_{draw}", draw=draw)
    elif word in BY_STAGE:
        for name in hand_drawn(backbone):
            if name.startswith(f"{word}:"):
                yield Arm(name.replace(":", "_"), architecture=name)
    else:
        name = Path(word).stem if Path(word).is_file() else word.replace(":", "_")
        yield Arm(name, architecture=word)

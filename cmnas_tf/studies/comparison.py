"""What a study compares: the options."""

from dataclasses import dataclass

from cmnas_tf.options import Options, option


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
        "ablations; random_search: the baseline), but for those that are the subject's with "
        "the options given, random, until and within for each stage, and all that the option "
        "architecture of a training takes.",
    )
    subject: str = option(
        "searched", "The search whose worth is asked for: differences are its score minus another."
    )
    against: tuple[str, ...] = option(
        ("shared", "separate", "random"), "What its score is tested against."
    )
    seeds: int = option(5, "Seeds, 0 to one less than this; each does every arm.", minimum=1)
    random_architectures: int = option(
        3,
        "Random architectures of each seed, as many separate sites (or parameters) as the "
        "subject's; their mean is the arm's score.",
        minimum=1,
        advanced=True,
    )
    rank_check: bool = option(
        True,
        "Also let the subject's supernet score each seed's architectures, to see whether it ranks "
        "them as their trainings do.",
        advanced=True,
    )
    quick: bool = option(
        False,
        "To see that all holds together, and nothing else: 2 seeds, the subject and what it is "
        "tested against, a quarter of the epochs. Give it a `run_dir` of its own.",
    )

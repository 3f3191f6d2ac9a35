"""Settings of a study: what is compared with what, and how its cells are worked off."""

from dataclasses import dataclass

from cmnas_tf.settings.group import Group, setting


@dataclass(frozen=True)
class Comparison(Group):
    """What is compared; every arm with the same recipe, budget and seeds."""

    arms: tuple[str, ...] = setting(
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
        "The contenders: searches that cmnas_tf/studies/arms.py names, but for those that are the "
        "subject's with the flags given, `random`, `until` and `within` for each stage, and all "
        "that --architecture of a training takes.",
    )
    subject: str = setting(
        "searched", "The search whose worth is asked for: differences are its score minus another."
    )
    against: tuple[str, ...] = setting(
        ("shared", "separate", "random"), "What its score is tested against."
    )
    seeds: int = setting(5, "Seeds, 0 to one less than this; each does every arm.", minimum=1)
    random_architectures: int = setting(
        3,
        "Random architectures of each seed, as many separate sites (or parameters) as the "
        "subject's; their mean is the arm's score.",
        minimum=1,
    )
    rank_check: bool = setting(
        True,
        "Also let the subject's supernet score each seed's architectures, to see whether it ranks "
        "them as their trainings do.",
    )


@dataclass(frozen=True)
class Recipes(Group):
    """The flags that all arms have in common."""

    people: str = setting(
        "",
        "Flagfile of make_synthetic: the people that --data_dir shall hold, drawn where it does "
        "not exist.",
    )
    search_flags: str = setting("", "Flags of every search, for example --flagfile=FILE.")
    train_flags: str = setting("", "Flags of every training.")
    evaluate_flags: str = setting("", "Flags of every evaluation.")


@dataclass(frozen=True)
class Queue(Group):
    """How the work is done."""

    jobs: int = setting(
        1, "Cells that are worked on at a time, each in a process.", minimum=1, shapes_result=False
    )
    quick: bool = setting(
        False,
        "To see that all holds together, and nothing else: 2 seeds, the subject and what it is "
        "tested against, a quarter of the epochs. Give it a --run_dir of its own.",
    )
    cell: str = setting(
        "", "Do this cell alone, here: ARM/seedN, as --dry_run lists them.", shapes_result=False
    )
    dry_run: bool = setting(
        False, "List all cells, and what they cost; do nothing.", shapes_result=False
    )
    measure_steps: int = setting(
        0,
        "A dry run that also takes this many steps of a search and of a training, on random "
        "pixels, and says the hours of all; 20 will do, 0 is none.",
        minimum=0,
        shapes_result=False,
    )

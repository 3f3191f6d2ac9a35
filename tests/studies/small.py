"""What the tests of studies study: a few arms of a ResNet-18, whose results are made up."""

from cmnas_tf.architecture import Architecture
from cmnas_tf.files import write_json
from cmnas_tf.studies.arms import Comparison
from cmnas_tf.studies.plan import SCHEMA, Evaluating, Searching, Study, StudyData, Training

SEARCH = {"backbone": "resnet18", "width": 0.0625, "epochs": 8, "warmup_epochs": 4}
TRAIN = {"backbone": "resnet18", "width": 0.0625, "epochs": 10, "decay_epochs": (4.0, 8.0)}


def study(folder, search=None, train=None, data=None, **comparison):
    """A study of all shared, one random one and a search; or of what is said.

    Args:
      folder: of its cells.
      search, train: options besides those above; None for one that is not given.
      data: attributes of ``StudyData`` that are to be otherwise.
      comparison: what is compared otherwise.
    """
    plain = {
        "arms": ("shared", "random", "searched"),
        "against": ("shared", "random"),
        "seeds": 2,
        "random_architectures": 1,
    }
    return Study.of(
        folder,
        StudyData(**{"layout": "sysu_mm01", "root": "people", **(data or {})}),
        Comparison(**{**plain, **comparison}),
        Searching.of_values(_given({**SEARCH, **(search or {})})),
        Training.of_values(_given({**TRAIN, **(train or {})})),
        Evaluating(),
    )


def _given(values):
    return {name: value for name, value in values.items() if value is not None}


def results(
    cell, mean_ap=0.5, chosen=("stem",), seconds=(30.0, 10.0), scores=None, architecture=None
):
    """What a finished cell leaves; of its measures Rank-1 is 0.1 more than mAP and mINP 0.1 less.

    The leanings are 0.9 for what is chosen and 0.2 for what is not. The architecture is all shared
    if none is given.
    """
    architecture = architecture or Architecture.shared("resnet18")
    leanings = {site: 0.9 if site in chosen else 0.2 for site in architecture.choices}
    decided = {"chosen": list(chosen), "leanings": leanings}
    values = {"rank1": mean_ap + 0.1, "mAP": mean_ap, "mINP": mean_ap - 0.1}
    return {
        "schema": SCHEMA,
        "arm": cell.arm.name,
        "seed": cell.seed,
        "settings": cell.settings,
        "commit": "c" * 40,
        "fingerprint": "f" * 64,
        "architecture": architecture.to_json(),
        "decided": decided if cell.searching else None,
        "seconds": dict(zip(("search", "train"), seconds, strict=True)),
        "results": {"all_single_shot": values},
        "chance": {"all_single_shot": {"rank1": 0.01, "mAP": 0.02, "mINP": 0.005}},
        "supernet_scores": scores,
    }


def finish(cell, **found):
    write_json(cell.results_file, results(cell, **found))

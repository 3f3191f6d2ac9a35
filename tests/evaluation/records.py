"""A results file as an evaluation on RegDB writes it, with any of its parts changed."""

import copy

RECORD = {
    "schema": 1,
    "dataset": {"layout": "regdb", "trial": 1, "fingerprint": "f" * 64, "left_out": []},
    "protocol": {"direction": "both", "flip_average": False, "rerank": None},
    "checkpoint": {
        "file": "runs/a/checkpoints/step-00000010.safetensors",
        "step": 10,
        "sha256": "c" * 64,
        "weights": "average",
    },
    "architecture": {"backbone": "resnet18", "choices": "0 0 1 1"},
    "training": {
        "settings": {"seed": 0, "decay_epochs": [40.0, 70.0], "initial_weights": ""},
        "versions": {"tensorflow": "2.15.1"},
        "commit": "a" * 40,
    },
    "evaluation": {
        "settings": {"dataset": "regdb", "trial": 1, "direction": "both", "flip_average": False},
        "versions": {"tensorflow": "2.15.1"},
        "commit": "a" * 40,
    },
    "results": {
        "visible_to_infrared": {
            **{"rank1": 0.5, "rank5": 0.6, "rank10": 0.7, "rank20": 0.8, "mAP": 0.45, "mINP": 0.3},
            "trials": {},
        },
        "infrared_to_visible": {
            **{"rank1": 0.4, "rank5": 0.5, "rank10": 0.6, "rank20": 0.7, "mAP": 0.35, "mINP": 0.2},
            "trials": {},
        },
    },
    "chance": {},
}


def record(changes=()):
    """A copy with ``{("training", "settings", "seed"): 1, ...}`` changed."""
    content = copy.deepcopy(RECORD)
    for (*way, last), value in dict(changes).items():
        inner = content
        for key in way:
            inner = inner[key]
        inner[last] = value
    return content

"""An evaluation: from a checkpoint to a table and to ``results.json``."""

from pathlib import Path
from typing import Any

from cmnas_tf import settings as settings_module
from cmnas_tf.data import LAYOUTS
from cmnas_tf.data.pipeline import ImageSource
from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_json
from cmnas_tf.reports.tables import results_table
from cmnas_tf.retrieval.embed import embed
from cmnas_tf.retrieval.measure import chance, measure
from cmnas_tf.retrieval.protocols import settings_of
from cmnas_tf.training.inputs import load_readable
from cmnas_tf.training.provenance import versions
from cmnas_tf.training.trained import load_trained


def evaluate(settings: settings_module.Evaluate) -> str:
    """Measures a trained network and writes ``results.json`` into the run folder.

    Args:
      settings: of the command.

    Returns:
      The table that is shown; its last line is what random embeddings reach.
    """
    trained = load_trained(
        settings.checkpoint.checkpoint, settings.run.run_dir, settings.checkpoint.weights
    )
    data = settings.data
    dataset, left_out = load_readable(data, "test")
    size = trained.specification
    unknown = set(dataset.test.modalities) - set(size.modalities)
    if unknown:
        raise BadInput(
            f"The network was trained on {', '.join(size.modalities)} images only, and the test "
            f"images are also {', '.join(sorted(unknown))}. Train it on images of both modalities."
        )
    source = ImageSource(dataset.test, Path(dataset.root), size.height, size.width)
    embeddings = embed(
        trained.network, source, settings.protocol.embed_batch, settings.progress.progress
    )
    protocol = _protocol(settings, dataset.layout)
    measured, by_chance = measure(embeddings, dataset, **protocol), chance(dataset, **protocol)
    results = {
        "dataset": {
            "layout": dataset.layout,
            "trial": data.trial,
            "fingerprint": dataset.fingerprint,
            "left_out": list(left_out),
        },
        "protocol": protocol,
        "checkpoint": {
            "file": str(trained.checkpoint.path),
            "step": trained.checkpoint.step,
            "sha256": trained.checkpoint.digest,
            "weights": trained.weights,
        },
        "architecture": trained.specification.architecture.to_cfg(),
        "training": trained.checkpoint.metadata.get("settings", {}),
        "results": {m.setting: m.to_json() for m in measured},
        "chance": {m.setting: m.to_json() for m in by_chance},
        "versions": versions(),
    }
    folder = Path(settings.run.run_dir or trained.checkpoint.path.parent)
    write_json(folder / "results.json", results)
    rows = [(m.setting, m) for m in measured] + [(f"chance, {m.setting}", m) for m in by_chance]
    described = [dataset.layout, *(f"{name} {value}" for name, value in protocol.items())]
    if LAYOUTS[dataset.layout].trials > 1:
        described.insert(1, f"trial {data.trial}")
    return (
        f"{', '.join(described)}; {trained.weights} weights of {trained.checkpoint.path.name}\n"
        f"{results_table(rows)}\nwritten to {folder / 'results.json'}"
    )


def _protocol(settings: settings_module.Evaluate, layout: str) -> dict[str, Any]:
    """The settings that the layout's protocol has."""
    return {name: getattr(settings.protocol, name) for name in settings_of(layout)}

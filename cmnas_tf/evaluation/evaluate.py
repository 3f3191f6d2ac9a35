"""An evaluation: from a checkpoint to a table and to ``results.json``."""

from pathlib import Path
from typing import Any

from cmnas_tf import settings as settings_module
from cmnas_tf.data import LAYOUTS
from cmnas_tf.data.pipeline import ImageSource
from cmnas_tf.data.protocols import settings_of
from cmnas_tf.devices.distribution import make_strategy
from cmnas_tf.devices.workers import check_same_run, is_chief, naming_lost_workers
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.embedding import embed_on_devices
from cmnas_tf.evaluation.measure import chance, measure, require_measurable
from cmnas_tf.evaluation.results_file import NAME, SCHEMA
from cmnas_tf.files import write_json
from cmnas_tf.runs.provenance import provenance
from cmnas_tf.tables import results_table
from cmnas_tf.training.inputs import load_readable
from cmnas_tf.training.trained import Trained, load_trained


@naming_lost_workers()
def evaluate(settings: settings_module.Evaluate) -> str:
    """Measures a trained network and writes ``results.json`` into the run folder.

    Args:
      settings: of the command.

    Returns:
      The table that is shown; its last line is what random embeddings reach.
    """
    strategy = make_strategy(settings.devices)
    with strategy.scope():
        trained = load_trained(
            settings.checkpoint.checkpoint,
            settings.run.run_dir,
            settings.checkpoint.weights,
            settings.arithmetic.precision,
        )
    data, matching, checkpoint = settings.data, settings.matching, trained.checkpoint
    _require_unseen_people(trained, data)
    dataset, left_out = load_readable(data, "test")
    size, architecture = trained.specification, trained.specification.architecture
    unknown = set(dataset.test.modalities) - set(size.modalities)
    if unknown:
        raise BadInput(
            f"The network was trained on {', '.join(size.modalities)} images only, and the test "
            f"images are also {', '.join(sorted(unknown))}. Train it on images of both modalities."
        )
    protocol = {name: getattr(settings.protocol, name) for name in settings_of(dataset.layout)}
    rerank = _rerank(matching)
    require_measurable(dataset, matching.rerank, **protocol)
    contents = {"the images": dataset.fingerprint, "the checkpoint": checkpoint.digest}
    check_same_run(strategy, settings, contents)
    embeddings = embed_on_devices(
        strategy,
        trained.network,
        ImageSource(dataset.test, Path(dataset.root), size.height, size.width),
        matching.embed_batch,
        settings.progress.progress,
        matching.flip_average,
    )
    measured = measure(embeddings, dataset, rerank, **protocol)
    by_chance = chance(dataset, **protocol)
    results = {
        "schema": SCHEMA,
        "dataset": {
            "layout": dataset.layout,
            "trial": data.trial,
            "fingerprint": dataset.fingerprint,
            "left_out": list(left_out),
        },
        "protocol": {**protocol, "flip_average": matching.flip_average, "rerank": rerank},
        "checkpoint": {
            "file": str(checkpoint.path),
            "step": checkpoint.step,
            "sha256": checkpoint.digest,
            "weights": trained.weights,
        },
        "architecture": {
            "backbone": architecture.to_json()["backbone"],
            "choices": architecture.to_cfg(),
        },
        "training": {
            part: checkpoint.metadata.get(part)
            for part in ("settings", "versions", "commit", "devices")
        },
        "evaluation": provenance(settings),
        "results": {m.setting: m.to_json() for m in measured},
        "chance": {m.setting: m.to_json() for m in by_chance},
    }
    file = Path(settings.run.run_dir or checkpoint.path.parent) / NAME
    if is_chief(strategy):
        write_json(file, results)
    rows = [(m.setting, m) for m in measured] + [(f"chance, {m.setting}", m) for m in by_chance]
    return (
        f"{_described(results)}; {trained.weights} weights of {checkpoint.path.name}\n"
        f"{results_table(rows)}\nwritten to {file}"
    )


def _require_unseen_people(trained: Trained, data: settings_module.Data) -> None:
    """Raises BadInput if the test images are of another of the data set's splits."""
    training = trained.checkpoint.metadata.get("settings", {})
    trial = training.get("trial", data.trial)
    if training.get("dataset") == data.dataset and trial != data.trial:
        raise BadInput(
            f"The network was trained on trial {trial} of {data.dataset}, which shares people with "
            f"the test images of --trial={data.trial}. Give --trial={trial}."
        )


def _rerank(matching: settings_module.Matching) -> dict[str, Any] | None:
    """The parameters of ``rerank.re_rank``; None where it is not wanted."""
    if not matching.rerank:
        return None
    return {
        "k1": matching.rerank_k1,
        "k2": matching.rerank_k2,
        "lambda_value": matching.rerank_lambda,
        "distance": matching.rerank_distance,
    }


def _described(results: dict[str, Any]) -> str:
    """What was measured and how, in a line."""
    layout, protocol = results["dataset"]["layout"], dict(results["protocol"])
    trial = [f"trial {results['dataset']['trial']}"] if LAYOUTS[layout].trials > 1 else []
    flip, rerank = protocol.pop("flip_average"), protocol.pop("rerank")
    parameters = " ".join(f"{name} {value}" for name, value in (rerank or {}).items())
    return ", ".join(
        [
            layout,
            *trial,
            *(f"{name} {value}" for name, value in protocol.items()),
            f"flip_average {'on' if flip else 'off'}",
            f"rerank {parameters or 'off'}",
        ]
    )

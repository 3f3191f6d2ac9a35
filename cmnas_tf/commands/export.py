"""``cmnas export``: a trained network as a model for TensorFlow Serving."""

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmnas_tf.commands.options_of_runs import DataFolder, TrainedSource
from cmnas_tf.devices.frozen_weights import ASSUMED
from cmnas_tf.options import Options, advanced, option, path_option
from cmnas_tf.runs.how_it_runs import Progress
from cmnas_tf.serving.exported_model import BESIDE, LATEST, MODEL_NAME, ServedForm


@dataclass(frozen=True, kw_only=True)
class MeasuredOn(DataFolder):
    """The images."""

    data_dir: str = path_option(
        "Data set on whose test images to measure what the exported model loses.",
        affects_result=False,
    )


@dataclass(frozen=True, kw_only=True)
class Export(Options):
    """Writes a trained network as a SavedModel for TensorFlow Serving, and proves it the same."""

    export_dir: str = path_option(
        "Folder of all exported versions, the one a model server watches.", required=True
    )
    version: int = advanced(
        0,
        "Number of this version; 0: one more than the highest there is, or with `check` that one.",
        minimum=0,
        maximum=LATEST,
    )
    parity_tolerance: float = advanced(
        1e-5,
        "Largest difference from the trained network that an entry of an embedding of norm 1 may "
        "have; 1,000 times as much in bfloat16.",
        minimum=0,
    )
    check: bool = option(
        False,
        "Export nothing: load a version that is there, ask it as a server would, print sizes, "
        "times and memory, and say whether it is safe to roll out; if not, end with an error.",
    )
    gallery: str = path_option(
        "Gallery for the signature identify: a file of cmnas build_index, or a folder of images "
        "{visible,infrared}/cam<camera>/<id>/*; without one there is no such signature."
    )
    source: TrainedSource = TrainedSource()
    form: ServedForm = ServedForm()
    data: MeasuredOn = MeasuredOn()
    progress: Progress = Progress()


def main(command: Export) -> None:
    """Exports, and says where the model is, how exact it is, and how to serve it; or checks one."""
    from cmnas_tf.serving.export import export_saved_model, loaded_for
    from cmnas_tf.serving.version_check import check_version

    if command.check:
        # TensorFlow calls sessions deprecated, in two lines.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        print(check_version(command.export_dir, command.version))
        return
    folder = export_saved_model(
        command.source.load(loaded_for(command.form.precision)),
        command.export_dir,
        version=command.version,
        form=command.form,
        gallery=command.gallery or None,
        parity_tolerance=command.parity_tolerance,
        dataset=command.data.load_listed() if command.data.data_dir else None,
        progress=command.progress.progress,
    )
    print(summary(folder))


def summary(folder: Path) -> str:
    """What there is to know of an exported version, read from its own files."""
    from cmnas_tf.serving.accuracy_drop import MEASURED, lines

    beside = folder / BESIDE
    card = json.loads((beside / "model_card.json").read_text())
    parity = json.loads((beside / "parity.json").read_text())
    precision, lost = card["network"]["computed_in"], []
    if (beside / MEASURED).exists():
        lost = list(lines(json.loads((beside / MEASURED).read_text())))
    elif precision != "float32":
        lost = [f"what {precision} loses of Rank-1 and mAP is measured with --data_dir"]
    signatures = [
        f"  {name:<22} {_shown(signature['inputs'])} -> {_shown(signature['outputs'])}"
        for name, signature in card["signatures"].items()
    ]
    served = shlex.quote(f"{folder.parent.resolve()}:/models/{MODEL_NAME}:ro")
    return "\n".join(
        [
            f"exported to {folder}, in {precision}",
            f"largest difference from the network {parity['max_abs_difference']:.1e} "
            f"over {len(parity['cases'])} batches (tolerance {parity['tolerance']:g})",
            *lost,
            *signatures,
            "serve it with",
            f"  docker run --rm -p 127.0.0.1:8500:8500 -p 127.0.0.1:8501:8501 -v {served} "
            f"-e MODEL_NAME={MODEL_NAME} -e {ASSUMED}=1 "
            f"tensorflow/serving:{card['versions']['export']['tensorflow']} --grpc_max_threads=64",
        ]
    )


def _shown(tensors: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{one['name']} {one['dtype']} {one['shape']}" for one in tensors)

"""``python -m export.export_saved_model``: a trained network as a model for TensorFlow Serving."""

import json
import shlex
from pathlib import Path
from typing import Any

from cmnas_tf import command_line, settings
from cmnas_tf.errors import BadInput
from cmnas_tf.files import replacing, write_json

MODEL_NAME = "reid"  # what clients call the model on the server
# The place a SavedModel has for files that are not part of the graph.
BESIDE = "assets.extra"


def main(options: settings.Export) -> None:
    """Exports, and says where the model is, how exact it is, and how to serve it."""
    print(summary(export(options)))


def export(options: settings.Export) -> Path:
    """Writes a version of the model, after proving that it gives the network's embeddings.

    The folder ``EXPORT_DIR/VERSION`` holds the SavedModel, and in ``assets.extra`` the files
    ``architecture.json``, ``model_card.json``, ``parity.json`` and requests that warm up a server.
    It is written under a name that
    is no number, which a server passes over, and renamed when it is whole.

    Args:
      options: of the command.

    Returns:
      The folder of the version.

    Raises:
      BadInput: no such trained network, the version exists, or the exported model's embeddings
        differ from the network's by more than the tolerance.
    """
    destination = _destination(options.target)

    from official.core import export_base

    from cmnas_tf.serving.gallery_images import load_gallery
    from cmnas_tf.serving.model_card import model_card
    from cmnas_tf.serving.parity import compare
    from cmnas_tf.serving.serving_module import Batching, Encoder, ServingModule
    from cmnas_tf.serving.warmup import write_warmup
    from cmnas_tf.training.trained import load_trained

    run_dir = options.run.run_dir
    trained = load_trained(
        options.checkpoint.checkpoint,
        run_dir,
        options.checkpoint.weights,
        options.arithmetic.precision,
    )
    form, searched = options.form, options.searched.gallery
    gallery = load_gallery(searched, trained, options.progress.progress) if searched else None
    module = ServingModule(
        trained.specification,
        Encoder(trained.network, trained.specification, form.frozen),
        gallery,
        Batching(form.batch_images, form.batch_wait_ms),
    )
    with replacing(destination) as folder:
        export_base.export(
            module, {name: name for name in module.signatures}, str(folder), timestamped=False
        )
        signatures = module.signatures
        parity = compare(folder, trained.network, trained.specification, signatures, gallery)
        tolerance, cases = options.target.parity_tolerance, parity["cases"]
        failed = [case for case in cases if not case["max_abs_difference"] <= tolerance]
        if failed:
            raise BadInput(
                "Nothing was exported: the exported model differs from the trained network by up "
                f"to {parity['max_abs_difference']:.1e}, in {len(failed)} of {len(cases)} batches "
                f"by more than --parity_tolerance={tolerance} (first in signature "
                f"{failed[0]['signature']}, {failed[0]['images']} images). Allow more only if you "
                "know the cause."
            )
        trained.specification.architecture.save(folder / BESIDE / "architecture.json")
        card = model_card(trained, module, run_dir, gallery)
        write_json(folder / BESIDE / "model_card.json", card)
        write_json(folder / BESIDE / "parity.json", {"tolerance": tolerance, **parity})
        write_warmup(folder / BESIDE, MODEL_NAME, trained.specification, signatures)
    return destination


def summary(folder: Path) -> str:
    """What there is to know of an exported version, read from its own files."""
    card = json.loads((folder / BESIDE / "model_card.json").read_text())
    parity = json.loads((folder / BESIDE / "parity.json").read_text())
    signatures = [
        f"  {name:<22} {_shown(signature['inputs'])} -> {_shown(signature['outputs'])}"
        for name, signature in card["signatures"].items()
    ]
    served = shlex.quote(f"{folder.parent.resolve()}:/models/{MODEL_NAME}")
    return "\n".join(
        [
            f"exported to {folder}",
            f"largest difference from the network {parity['max_abs_difference']:.1e} "
            f"over {len(parity['cases'])} batches (tolerance {parity['tolerance']})",
            *signatures,
            "serve it with",
            f"  docker run --rm -p 8500:8500 -p 8501:8501 -v {served} -e MODEL_NAME={MODEL_NAME} "
            f"tensorflow/serving:{card['versions']['export']['tensorflow']}",
        ]
    )


def _shown(tensors: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['name']} {one['dtype']} {one['shape']}" for one in tensors)


def _destination(target: settings.ExportTarget) -> Path:
    base = Path(target.export_dir)
    if not target.export_dir or base.is_file():
        raise BadInput(
            f"--export_dir={target.export_dir!r} is no folder; give the one that is to hold all "
            "versions of the model."
        )
    entries = base.iterdir() if base.is_dir() else ()
    versions = {int(entry.name) for entry in entries if entry.name.isdecimal()}
    following = max(versions, default=0) + 1
    if target.version in versions:
        raise BadInput(
            f"--version={target.version} is already in {base}, and a version is never replaced: "
            f"servers may be using it. Leave --version out to write version {following}."
        )
    return base / str(target.version or following)


if __name__ == "__main__":
    command_line.run(main, settings.Export)

"""An evaluation: from a trained network to scores."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cmnas_tf.data import LAYOUTS
from cmnas_tf.data.index import Dataset
from cmnas_tf.data.pipeline import ImageSource
from cmnas_tf.data.protocols import Protocol
from cmnas_tf.devices import xla
from cmnas_tf.devices.devices import Devices
from cmnas_tf.devices.distribution import make_strategy, map_over_replicas
from cmnas_tf.devices.threads import threads_in_use
from cmnas_tf.devices.workers import check_agreement, cluster_of, gather_rows, naming_lost_workers
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.closer_look import Look, closer_look
from cmnas_tf.evaluation.matching import Matching, evaluation_settings
from cmnas_tf.evaluation.results_file import SCHEMA, step_of
from cmnas_tf.files import write_json
from cmnas_tf.modality import MODALITIES
from cmnas_tf.models import ReidNetwork
from cmnas_tf.options import described
from cmnas_tf.retrieval.embed import embed
from cmnas_tf.retrieval.measure import (
    Measured,
    chance,
    measure,
    require_measurable,
    results_table,
)
from cmnas_tf.runs.checkpoints import BEST
from cmnas_tf.runs.provenance import provenance
from cmnas_tf.training.trained import TrainedNetwork


@dataclass(frozen=True)
class Scores(Mapping[str, Measured]):
    """What an evaluation measured; prints as a table.

    A mapping from a setting of the protocol, such as ``"all_single_shot"``, to what was measured in
    it, trial by trial; ``rank1``, ``mAP`` and ``mINP`` are means over the settings. All values are
    0..1.

    Attributes:
      measured: of each setting of the protocol.
      chance: what random embeddings reach by the same protocol.
      record: all of it with its origin, what a file of results holds.
      look: what a report shows besides, see ``closer_look``.
    """

    measured: Mapping[str, Measured]
    chance: Mapping[str, Measured]
    record: Mapping[str, Any]
    look: Look

    def __getitem__(self, setting: str) -> Measured:
        return self.measured[setting]

    def __iter__(self) -> Iterator[str]:
        return iter(self.measured)

    def __len__(self) -> int:
        return len(self.measured)

    def _mean(self, name: str) -> float:
        return sum(found.values[name] for found in self.measured.values()) / len(self)

    @property
    def rank1(self) -> float:
        """Part of the queries whose best match is right."""
        return self._mean("rank1")

    @property
    def mAP(self) -> float:  # noqa: N802
        """Mean average precision."""
        return self._mean("mAP")

    @property
    def mINP(self) -> float:  # noqa: N802
        """Mean inverse negative penalty."""
        return self._mean("mINP")

    def save(self, file: str | os.PathLike[str]) -> None:
        """Writes ``record`` as JSON, whole or not at all."""
        write_json(file, self.record)

    def __str__(self) -> str:
        rows = list(self.measured.items())
        rows += [(f"chance, {setting}", found) for setting, found in self.chance.items()]
        lines = [self._title(), results_table(rows)]
        lines += [f"{name}: {m.queries}" for name, m in self.items() if m.queries.skipped]
        if chosen := self.record["checkpoint"].get(BEST):
            lines.append(
                f"the best epoch of those measured every {chosen['every']}, by mAP of "
                f"{chosen['on']}: step {self.record['checkpoint']['step']}"
            )
        elif "unfinished" in (step := step_of(self.record)):
            lines.append(f"the training was not finished: step {step.partition(',')[0]}")
        return "\n".join(lines)

    def _title(self) -> str:
        """What was measured and how, in a line."""
        data, checkpoint = self.record["dataset"], self.record["checkpoint"]
        protocol = dict(self.record["protocol"])
        trial = [f"trial {data['trial']}"] if LAYOUTS[data["layout"]].trials > 1 else []
        flip, rerank = protocol.pop("flip_average"), protocol.pop("rerank")
        parameters = " ".join(f"{name} {value}" for name, value in (rerank or {}).items())
        words = [
            data["layout"],
            *trial,
            *(f"{name} {_word(value)}" for name, value in protocol.items()),
            f"flip_average {_word(flip)}",
            f"rerank {parameters or 'off'}",
        ]
        file = Path(checkpoint["file"]).name
        return f"{', '.join(words)}; {checkpoint['weights']} weights of {file}"


def _word(value: Any) -> Any:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def evaluate_network(
    model: TrainedNetwork,
    dataset: Dataset,
    protocol: Protocol | None = None,
    matching: Matching | None = None,
    *,
    devices: Devices | tf.distribute.Strategy | None = None,
    progress: bool = True,
) -> Scores:
    """Measures a trained network by a data set's test protocol.

    Args:
      model: the network; for several devices, made in the scope of their strategy.
      dataset: whose test images are embedded and ranked.
      protocol: who asks and who answers; the data set's own with its default options.
      matching: how images are compared.
      devices: what computes it.
      progress: whether to show a bar.

    Raises:
      BadInput: the network was trained on the test people, or not on a modality of the test
        images; the protocol does not fit the data; an image cannot be read.
    """
    protocols = [protocol or LAYOUTS[dataset.layout].protocol()]
    (scores,) = evaluate_protocols(
        model, dataset, protocols, matching, devices=devices, progress=progress
    )
    return scores


@naming_lost_workers()
def evaluate_protocols(
    model: TrainedNetwork,
    dataset: Dataset,
    protocols: Sequence[Protocol],
    matching: Matching | None = None,
    *,
    devices: Devices | tf.distribute.Strategy | None = None,
    progress: bool = True,
) -> list[Scores]:
    """:func:`evaluate_network` by each of several protocols, of images that are embedded once.

    ``protocol.variants("standard")`` are those of a data set's published tables.
    """
    matching, strategy = matching or Matching(), make_strategy(devices)
    _require_unseen_people(model, dataset)
    model.check_trained_on(*set(dataset.test.modalities))
    for protocol in protocols:
        require_measurable(dataset, protocol, matching.rerank)
    precision = str(model.network.compute_dtype)
    settings = [
        evaluation_settings(dataset, protocol, matching, model.weights, precision)
        for protocol in protocols
    ]
    contents = {"the images": dataset.fingerprint, "the checkpoint": model.checkpoint.digest}
    for each in settings:
        check_agreement(strategy, partial(dict, each, **contents))
    embeddings = embed_on_devices(
        strategy,
        model.network,
        model.source(dataset.test, Path(dataset.root)),
        matching.embed_batch,
        progress,
        matching.flip_average,
    )
    return [
        _scores(model, dataset, protocol, matching, embeddings, each)
        for protocol, each in zip(protocols, settings, strict=True)
    ]


def _scores(
    model: TrainedNetwork,
    dataset: Dataset,
    protocol: Protocol,
    matching: Matching,
    embeddings: np.ndarray,
    settings: Mapping[str, Any],
) -> Scores:
    """What embeddings [N, D] of the test images come to by a protocol."""
    checkpoint, size, rerank = model.checkpoint, model.specification, matching.rerank_parameters
    measured = {m.setting: m for m in measure(embeddings, dataset, protocol, rerank)}
    by_chance = {m.setting: m for m in chance(dataset, protocol)}
    record = {
        "schema": SCHEMA,
        "dataset": {
            "layout": dataset.layout,
            "trial": dataset.trial,
            "fingerprint": dataset.fingerprint,
            "left_out": list(dataset.left_out),
        },
        "protocol": {
            **described([protocol]),
            "flip_average": matching.flip_average,
            "rerank": rerank,
        },
        "checkpoint": {
            "file": str(checkpoint.path),
            "step": checkpoint.step,
            "sha256": checkpoint.digest,
            "weights": model.weights,
            **{key: checkpoint.metadata[key] for key in (BEST,) if key in checkpoint.metadata},
        },
        "architecture": {
            "backbone": size.architecture.to_json()["backbone"],
            "choices": size.architecture.to_cfg(),
        },
        "training": {
            **{
                part: checkpoint.metadata.get(part)
                for part in ("settings", "versions", "commit", "devices")
            },
            "planned_steps": model.run.planned_steps(),
        },
        "evaluation": {**provenance(settings), "threads": threads_in_use()},
        "results": {setting: found.to_json() for setting, found in measured.items()},
        "chance": {setting: found.to_json() for setting, found in by_chance.items()},
    }
    look = closer_look(embeddings, dataset, protocol, list(measured.values()))
    return Scores(measured, by_chance, record, look)


def _require_unseen_people(model: TrainedNetwork, dataset: Dataset) -> None:
    """Raises BadInput if the test images are of another of the data set's splits."""
    training = model.checkpoint.metadata.get("settings", {})
    trial = training.get("trial", dataset.trial)
    differs = trial != dataset.trial and LAYOUTS[dataset.layout].trials > 1
    if differs and dataset.layout in training.get("dataset", "").split(","):
        raise BadInput(
            f"The network was trained on trial {trial} of {dataset.layout}, which shares people "
            f"with the test images of trial={dataset.trial}. Give trial={trial}."
        )


# Images from which XLA compiles the network. Our choice: it takes 13 s for a ResNet-50 on an H100,
# which compiled embeds an image in 40 (bfloat16) to 70 microseconds.
_WORTH_COMPILING = 200_000


def embed_on_devices(
    strategy: tf.distribute.Strategy,
    network: ReidNetwork,
    source: ImageSource,
    batch: int,
    progress: bool = False,
    flip_average: bool = False,
) -> np.ndarray:
    """:func:`~cmnas_tf.retrieval.embed.embed` by all workers and devices; all of it on each worker.

    Each device takes whole batches, the very ones that a single device would compute.

    Args:
      strategy: in whose scope the network was made; each worker must call this function.
      progress: whether the chief shows a bar, for its own share.
    """
    cluster = cluster_of(strategy)
    shares = _deal(source.images.modalities, batch, len(cluster.addresses))
    own = replace(source, images=source.images[shares[cluster.index]])
    shown = progress and cluster.index == 0
    by_xla = len(own.images) >= _WORTH_COMPILING and xla.compiles("auto", strategy)
    found = embed(network, own, batch, shown, flip_average, map_over_replicas(strategy), by_xla)
    embeddings = np.empty((len(source.images), found.shape[1]), found.dtype)
    embeddings[np.concatenate(shares)] = gather_rows(strategy, found)
    return embeddings


def _deal(modalities: np.ndarray, batch: int, workers: int) -> list[np.ndarray]:
    """By worker, the row numbers of its batches; of few batches, one may be dealt twice."""
    of_modality = [np.flatnonzero(modalities == modality) for modality in MODALITIES]
    batches = [
        rows[start : start + batch] for rows in of_modality for start in range(0, len(rows), batch)
    ]
    return [np.concatenate(batches[w % len(batches) :: workers]) for w in range(workers)]

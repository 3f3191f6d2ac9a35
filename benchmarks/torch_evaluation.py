"""The same test as others write it: a ``DataLoader`` of PIL images, PyTorch, and a loop over
queries.

The authors embed a gallery anew for each of the ten trials; here each image is embedded once, too.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import batch
from benchmarks.evaluation import AT_A_TIME, people, protocol
from benchmarks.ranking import rank_one_by_one
from benchmarks.torch_steps import FORMATS, TwoStream, functional, nn, torch
from cmnas_tf.data.augment import MEAN, STD
from cmnas_tf.data.index import Dataset
from cmnas_tf.machine import cores
from cmnas_tf.retrieval.measure import measure


def loop(workers: str = "0") -> Callable[[], object]:
    """Channels last, in which PyTorch embeds faster; its trials come to the same as the package's.

    Args:
      workers: processes that read; ``cores`` for as many as there are.
    """
    images, count = people(), cores() if workers == "cores" else int(workers)
    network = TwoStream(nn.BatchNorm2d).to(memory_format=FORMATS["channels_last"]).eval()
    drawn = np.random.default_rng(0).standard_normal((len(images.test), 32))
    unit = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    (expected,) = measure(unit, images, protocol())
    np.testing.assert_allclose(_mean_ap(unit, images), expected.values["mAP"], rtol=1e-5)

    @torch.inference_mode()
    def run() -> float:
        rows = torch.utils.data.DataLoader(_Files(images), AT_A_TIME, num_workers=count)
        found = []
        for part in rows:
            part = part.contiguous(memory_format=FORMATS["channels_last"])
            pooled = network.backbone(part).mean(dim=(2, 3))
            found.append(functional.normalize(network.neck(pooled)).numpy())
        _mean_ap(np.concatenate(found), images)

    return run


class _Files(torch.utils.data.Dataset):
    """The test images, resized and normalised, [3, H, W] float32."""

    def __init__(self, images: Dataset):
        self.paths = [Path(images.root) / path for path in images.test.paths]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, row):
        size = batch.WIDTH, batch.HEIGHT
        image = Image.open(self.paths[row]).convert("RGB").resize(size, Image.Resampling.BILINEAR)
        pixels = (np.asarray(image) / 255.0 - MEAN) / STD
        return torch.from_numpy(pixels.astype(np.float32).transpose(2, 0, 1))


def _mean_ap(embeddings: np.ndarray, images: Dataset) -> float:
    """Over the trials."""
    found = []
    for trial in protocol().trials_of(images):
        query, gallery = trial.query, trial.gallery
        labels = query.pids, gallery.pids, query.cameras, gallery.cameras
        asking, answering = trial.divided(embeddings, images.test)
        found.append(rank_one_by_one(-asking @ answering.T, *labels)[1])
    return float(np.mean(found))

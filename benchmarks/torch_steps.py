"""The training step of the all-separate two-stream ResNet-50, written with ``torch.nn``."""

from collections.abc import Callable
from typing import Any

from benchmarks import batch, kernels
from benchmarks.worker import Run, Unavailable

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    raise Unavailable("PyTorch is not installed: pip install torch") from error


DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
torch.backends.cudnn.benchmark = True
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class SeparateNorm(nn.Module):
    """A batch norm for each half of the rows."""

    def __init__(self, channels: int):
        super().__init__()
        self.visible, self.infrared = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x):
        visible, infrared = x.chunk(2)
        return torch.cat([self.visible(visible), self.infrared(infrared)])


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1; and the shortcut."""

    def __init__(self, before: int, inner: int, stride: int, norm: Callable[[int], nn.Module]):
        super().__init__()
        after = 4 * inner
        self.convolutions = nn.Sequential(
            nn.Conv2d(before, inner, 1, bias=False),
            norm(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, 3, stride, 1, bias=False),
            norm(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, after, 1, bias=False),
            norm(after),
        )
        self.shortcut = nn.Identity()
        if before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), norm(after)
            )

    def forward(self, x):
        return functional.relu(self.convolutions(x) + self.shortcut(x))


class TwoStream(nn.Module):
    """ResNet-50 with last stride 1, BN neck and classifier.

    Args:
      norm: makes the norm of a number of channels; ``nn.BatchNorm2d`` for one modality alone.
    """

    def __init__(self, norm: Callable[[int], nn.Module] = SeparateNorm):
        super().__init__()
        layers = [
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            norm(64),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        ]
        channels = 64
        for inner, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 1)):
            for block in range(blocks):
                layers.append(Bottleneck(channels, inner, stride if block == 0 else 1, norm))
                channels = 4 * inner
        self.backbone = nn.Sequential(*layers)
        self.neck = nn.BatchNorm1d(channels)
        self.classifier = nn.Linear(channels, batch.CLASSES, bias=False)

    def forward(self, x):
        pooled = self.backbone(x).mean(dim=(2, 3)).float()
        embedding = self.neck(pooled)
        return pooled, embedding, self.classifier(embedding)


def _triplet(anchors, candidates, labels):
    distance = torch.cdist(anchors, candidates)
    same = labels[:, None] == labels
    positive = distance.masked_fill(~same, -torch.inf).amax(1)
    negative = distance.masked_fill(same, torch.inf).amin(1)
    return functional.relu(positive - negative + 0.4).mean()


def _correlation(visible, infrared):
    grams = (functional.normalize(x @ x.T, dim=1) for x in (visible, infrared))
    return functional.mse_loss(*grams)


def _class_mmd(visible, infrared):
    v, i = (
        functional.normalize(x, dim=1).view(batch.IDENTITIES, batch.IMAGES_PER_IDENTITY, -1)
        for x in (visible, infrared)
    )

    def kernel(a, b):
        return (a @ b.transpose(1, 2)).square().mean(dim=(1, 2))

    return (kernel(v, v) + kernel(i, i) - 2 * kernel(v, i)).mean()


def step(layout: str = "contiguous", precision: str = "float32", compiled: str = "") -> Run:
    """The training step.

    Args:
      layout: ``contiguous`` (channels before rows and columns) or ``channels_last``.
      precision: ``float32`` (TF32 on a GPU) or ``bfloat16``, by autocast.
      compiled: ``"yes"``: the network by ``torch.compile``.
    """
    torch.manual_seed(0)
    network = TwoStream().to(DEVICE, memory_format=FORMATS[layout]).train()
    called = torch.compile(network) if compiled else network
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, betas=(0.5, 0.999), weight_decay=5e-4)
    images = torch.cat([torch.from_numpy(part) for part in batch.images().values()]).to(DEVICE)
    images = images.permute(0, 3, 1, 2).contiguous(memory_format=FORMATS[layout])
    labels = torch.from_numpy(batch.labels()).long().to(DEVICE)
    both = labels.repeat(2)

    def run() -> Callable[[], Any]:
        optimizer.zero_grad(set_to_none=True)
        with _autocast(precision):
            pooled, embedding, logits = called(images)
        (pv, pi), (ev, ei) = pooled.chunk(2), embedding.chunk(2)
        pairs = ((pv, pv), (pi, pi), (pv, pi), (pi, pv))
        triplet = sum(_triplet(a, c, labels) for a, c in pairs) / 4
        loss = (
            functional.cross_entropy(logits.float(), both)
            + triplet
            + 5 * _correlation(ev, ei)
            + 0.05 * _class_mmd(ev, ei)
        )
        loss.backward()
        optimizer.step()
        return loss.item

    return run


def embed(
    layout: str = "contiguous", precision: str = "float32", images: str = "", calls: str = "1"
) -> Run:
    """Images of one modality to embeddings, without being compiled.

    Args:
      layout, precision: see :func:`step`.
      images: how many at once; those of the batch when not given.
      calls: how many times in one run.
    """
    network = TwoStream(nn.BatchNorm2d).to(DEVICE, memory_format=FORMATS[layout]).eval()
    count = int(images or batch.IMAGES)
    given = torch.randn(count, 3, batch.HEIGHT, batch.WIDTH, device=DEVICE)
    given = given.contiguous(memory_format=FORMATS[layout])

    @torch.inference_mode()
    def run() -> Callable[[], Any]:
        for _ in range(int(calls)):
            with _autocast(precision):
                pooled = network.backbone(given).mean(dim=(2, 3))
            found = functional.normalize(network.neck(pooled.float()))
        return found.cpu

    return run


def profile(run: Run, count: int) -> dict[str, Any]:
    """What PyTorch's profiler saw, see :func:`kernels.of_torch`."""
    return kernels.of_torch(run, count)


def memory() -> dict[str, Any]:
    """The most of the GPU's memory that was in use, in bytes; nothing without one."""
    return {"gpu_bytes": torch.cuda.max_memory_allocated()} if DEVICE == "cuda" else {}


def _autocast(precision: str):
    return torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bfloat16")

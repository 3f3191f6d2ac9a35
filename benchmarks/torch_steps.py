"""The training step of the all-separate two-stream ResNet-50, written with ``torch.nn``."""

from collections.abc import Callable

from benchmarks import batch
from benchmarks.worker import Unavailable

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    raise Unavailable("PyTorch is not installed: pip install torch") from error


def contiguous() -> Callable[[], None]:
    """In float32, channels before rows and columns."""
    return _step(torch.contiguous_format, torch.float32)


def channels_last() -> Callable[[], None]:
    """In float32, channels last."""
    return _step(torch.channels_last, torch.float32)


def contiguous_bfloat16() -> Callable[[], None]:
    """Channels before rows and columns in bfloat16, by autocast."""
    return _step(torch.contiguous_format, torch.bfloat16)


def channels_last_bfloat16() -> Callable[[], None]:
    """Channels last in bfloat16, by autocast."""
    return _step(torch.channels_last, torch.bfloat16)


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


def _step(memory_format, dtype) -> Callable[[], None]:
    torch.manual_seed(0)
    network = TwoStream().to(memory_format=memory_format).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, betas=(0.5, 0.999), weight_decay=5e-4)
    images = torch.cat([torch.from_numpy(part) for part in batch.images().values()])
    images = images.permute(0, 3, 1, 2).contiguous(memory_format=memory_format)
    labels = torch.from_numpy(batch.labels()).long()

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            pooled, embedding, logits = network(images)
        (pv, pi), (ev, ei) = pooled.chunk(2), embedding.chunk(2)
        pairs = ((pv, pv), (pi, pi), (pv, pi), (pi, pv))
        triplet = sum(_triplet(a, c, labels) for a, c in pairs) / 4
        loss = (
            functional.cross_entropy(logits.float(), labels.repeat(2))
            + triplet
            + 5 * _correlation(ev, ei)
            + 0.05 * _class_mmd(ev, ei)
        )
        loss.backward()
        optimizer.step()

    return run

"""Visible images to embeddings, with ``torch.nn`` as it runs without being compiled."""

from collections.abc import Callable

from benchmarks import batch
from benchmarks.torch_steps import TwoStream, functional, nn, torch

ONE, MANY = 1, 32  # images
CALLS = 10  # of one run with one image


def contiguous_one() -> Callable[[], None]:
    """One image, channels before rows and columns."""
    return _embedding(ONE, torch.contiguous_format)


def channels_last_one() -> Callable[[], None]:
    """One image, channels last."""
    return _embedding(ONE, torch.channels_last)


def contiguous_many() -> Callable[[], None]:
    """A batch, channels before rows and columns."""
    return _embedding(MANY, torch.contiguous_format)


def channels_last_many() -> Callable[[], None]:
    """A batch, channels last."""
    return _embedding(MANY, torch.channels_last)


def _embedding(images: int, memory_format) -> Callable[[], None]:
    network = TwoStream(norm=nn.BatchNorm2d).to(memory_format=memory_format).eval()
    given = torch.randn(images, 3, batch.HEIGHT, batch.WIDTH)
    given = given.contiguous(memory_format=memory_format)

    @torch.inference_mode()
    def run() -> None:
        for _ in range(CALLS if images == ONE else 1):
            functional.normalize(network.neck(network.backbone(given).mean(dim=(2, 3))))

    return run

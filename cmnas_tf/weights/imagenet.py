"""Torchvision's ImageNet weights of the backbones, fetched once and checked.

These are the files the authors start from: ``resnet50-19c8e357.pth`` and its kin of
download.pytorch.org. Hugging Face has them as safetensors, which need no PyTorch to be read (timm's
``tv_in1k``; timm's source names the torchvision files they were made from). ImageNet weights of
``keras.applications`` belong to another network: biased convolutions, and the stride of a block in
its 1x1 convolution.
"""

import http.client
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import urlopen

from cmnas_tf.errors import BadInput
from cmnas_tf.files import cache_folder, replacing, sha256
from cmnas_tf.progress import progress_bar

_TIMM = "https://huggingface.co/timm/{}.tv_in1k/resolve/{}/model.safetensors"
_MEGABYTE = 1 << 20


# Where from, of one version and not of the newest; and SHA-256 of the content, which Hugging Face
# shows of each file. None was found for ResNet-101, so it comes from torchvision, whose file names
# end in the first eight digits (torch.hub, check_hash).
FILES = {
    "resnet18": (
        _TIMM.format("resnet18", "bbd144b3e5565108aad885f145491d11bc6ce807"),
        "694f673df6520a3158624e8a89af086f59923ee4cd7436fe5bc3bc71d295ad81",
    ),
    "resnet34": (
        _TIMM.format("resnet34", "1b7b21cca82ff974d341713f777bf740c2db38c4"),
        "0bb82595a564991a9d424708b33f5d843f5aaed7f6c0886ff10849ff97022235",
    ),
    "resnet50": (
        _TIMM.format("resnet50", "78f3ecfdb38e06d9b8397f662e7ab8fee96026fa"),
        "5d061a3c593d795bfe682d9b152bafbcf550579873492def3515b46db1189888",
    ),
    "resnet101": ("https://download.pytorch.org/models/resnet101-5d3b4d8f.pth", "5d3b4d8f"),
    "resnet152": (
        _TIMM.format("resnet152", "2a9b5c2460893a2ab13d8625db2383f3094d704f"),
        "15897077afdf4d6334dc0c3f8e6fb483afb3faa9298c139f3c6eb29bca6ae5b2",
    ),
}


def imagenet_file(backbone: str, progress: bool = True) -> Path:
    """The weight file of a backbone, fetched when :func:`cache_folder` has none that is whole.

    Args:
      backbone: ``"resnet18"`` .. ``"resnet152"``.

    Raises:
      BadInput: it could not be fetched, or what came is another file.
    """
    url, checksum = FILES[backbone]
    suffix = Path(urlparse(url).path).suffix
    path = cache_folder() / f"{backbone}-{checksum[:8]}{suffix}"
    if path.is_file() and sha256(path).startswith(checksum):
        return path
    instead = (
        "Or fetch it by hand, make a checkpoint of it (`import_weights`), and give that as "
        "`initial_weights`. Empty, it begins with random weights."
    )
    with replacing(path) as aside:
        try:
            _fetch(url, aside, progress)
        except (OSError, http.client.HTTPException) as error:
            raise BadInput(
                f"The ImageNet weights of {backbone} could not be fetched from {url} "
                f"({error}). Try again where there is a network. {instead}"
            ) from error
        digest = sha256(aside)
        if not digest.startswith(checksum):
            raise BadInput(
                f"{url} gave another file than it should: its SHA-256 is {digest}, not "
                f"{checksum}. It was not kept. Try again. {instead}"
            )
    return path


def _fetch(url: str, path: Path, progress: bool) -> None:
    with urlopen(url, timeout=30) as response, path.open("wb") as file:
        size = int(response.headers.get("Content-Length", 0))
        with progress_bar(-(-size // _MEGABYTE), "MB", progress) as bar:
            while part := response.read(_MEGABYTE):
                file.write(part)
                bar.update()

"""Random PyTorch states, with names and shapes written down from the networks' definitions."""

import re

import numpy as np

# Blocks of the stages and whether a block is a bottleneck: He et al., CVPR 2016, table 1.
RESNETS = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
    "resnet152": ((3, 8, 36, 3), True),
}
STATISTICS = ("weight", "bias", "running_mean", "running_var")
BRANCHES = ("visible_bn", "thermal_bn", "sharable_bn")


def torchvision_shapes(backbone: str, filters: int = 64) -> dict[str, tuple[int, ...]]:
    """Of torchvision's ResNet with a stem of ``filters`` channels; without batch counters."""
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(conv, norm, inputs, outputs, size):
        shapes[f"{conv}.weight"] = (outputs, inputs, size, size)
        shapes.update({f"{norm}.{statistic}": (outputs,) for statistic in STATISTICS})

    convolution("conv1", "bn1", 3, filters, 7)
    blocks, bottleneck = RESNETS[backbone]
    channels = filters
    for stage, depth in enumerate(blocks):
        inner = filters * 2**stage
        outputs = 4 * inner if bottleneck else inner
        for block in range(depth):
            path = f"layer{stage + 1}.{block}"
            sizes = [(inner, 1), (inner, 3), (outputs, 1)] if bottleneck else [(inner, 3)] * 2
            inputs = channels
            for n, (width, size) in enumerate(sizes, start=1):
                convolution(f"{path}.conv{n}", f"{path}.bn{n}", inputs, width, size)
                inputs = width
            if block == 0 and (stage > 0 or channels != outputs):
                downsample = f"{path}.downsample"
                convolution(f"{downsample}.0", f"{downsample}.1", channels, outputs, 1)
            channels = outputs
    return {**shapes, "fc.weight": (1000, channels), "fc.bias": (1000,)}


def authors_shapes(backbone: str, classes: int, filters: int = 64) -> dict[str, tuple[int, ...]]:
    """Of the authors' two-stream network: three batch norms at every site; without counters."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in torchvision_shapes(backbone, filters).items():
        owner, statistic = name.rsplit(".", 1)
        owner = "backbone." + owner.replace("downsample.0", "downsample.conv")
        owner = owner.replace("downsample.1", "downsample.bn")
        if re.search(r"bn\d?$", owner):
            shapes |= {f"{owner}.{branch}.{statistic}": shape for branch in BRANCHES}
        elif not name.startswith("fc."):
            shapes[f"{owner}.{statistic}"] = shape
    channels = shapes[[name for name in shapes if ".bn" in name][-1]]
    shapes |= {f"bnneck.{statistic}": channels for statistic in STATISTICS}
    return {**shapes, "classifier.weight": (classes, *channels)}


def random_state(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """A value of its own for everything; variances are positive."""
    rng = np.random.default_rng(seed)
    state = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return {n: np.exp(array) if n.endswith("running_var") else array for n, array in state.items()}


def with_counters(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """With PyTorch's ``num_batches_tracked`` of every batch norm."""
    norms = [name.rsplit(".", 1)[0] for name in state if name.endswith("running_var")]
    return {**state, **{f"{norm}.num_batches_tracked": np.array(7) for norm in norms}}

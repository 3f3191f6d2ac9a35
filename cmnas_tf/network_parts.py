"""What a network may have besides the convolutions and norms of its backbone: the options."""

from dataclasses import dataclass

from cmnas_tf.options import Options, advanced


@dataclass(frozen=True, kw_only=True)
class NetworkParts(Options):
    """What a network has besides its backbone's convolutions and norms: the parts of AGW.

    AGW is the baseline of Ye et al., "Deep Learning for Person Re-identification: A Survey and
    Outlook", TPAMI 2021, in their version for two modalities: ``separate_stem``, ``non_local`` of
    (0, 2, 3, 0), ``pooling="gem"``, and the architecture ``until:stem``.
    """

    separate_stem: bool = advanced(
        False, "Give each modality its own first convolution (AGW; ResNets only)."
    )
    non_local: tuple[int, ...] = advanced(
        (),
        "How many of the last blocks of each stage have a non-local block behind them (Wang et "
        "al., CVPR 2018); 0,2,3,0 in AGW. ResNets only.",
    )
    pooling: str = advanced(
        "average",
        "How the feature map is pooled: average [code]; gem, the generalized mean with p = 3 "
        "(AGW); or gem_trained, which learns p from there.",
        choices=("average", "gem", "gem_trained"),
    )


PLAIN = NetworkParts()

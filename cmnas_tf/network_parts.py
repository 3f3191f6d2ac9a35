"""What a network may have besides the convolutions and norms of its backbone: the options."""

from dataclasses import dataclass

from cmnas_tf.options import Options, advanced


@dataclass(frozen=True, kw_only=True)
class NetworkParts(Options):
    """What a network has besides its backbone's convolutions and norms; those of AGW.

    AGW is the baseline of Ye et al., "Deep Learning for Person Re-identification: A Survey and
    Outlook", TPAMI 2021, in their version for two modalities: ``separate_stem``, ``non_local`` of
    (0, 2, 3, 0), ``pooling="gem"``, and the architecture ``until:stem``.
    """

    separate_stem: bool = advanced(
        False, "Give each modality a first convolution of its own (AGW); of ResNets."
    )
    non_local: tuple[int, ...] = advanced(
        (),
        "Last blocks of each stage that a non-local block follows (Wang et al., CVPR 2018), such "
        "as 0,2,3,0 (AGW); of ResNets.",
    )
    pooling: str = advanced(
        "average",
        "How the feature map is pooled: average [code], or gem: the generalized mean with p = 3 "
        "(AGW); gem_trained trains p from there.",
        choices=("average", "gem", "gem_trained"),
    )


PLAIN = NetworkParts()

"""The search space of CM-NAS: at every batch norm, separate per modality or shared?"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cmnas_tf.architecture import (
    CHOICES,
    SEPARATE,
    SHARED,
    Architecture,
    Backbone,
    hand_drawn,
    named_backbone,
    sites_of,
    stacked,
)
from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_text
from cmnas_tf.network_parts import PLAIN, NetworkParts
from cmnas_tf.options import Options, advanced, option
from cmnas_tf.search_spaces.space import DECIDED, SPACES, SearchSpace

if TYPE_CHECKING:
    import tensorflow as tf

    from cmnas_tf.layers import MixedModalityNorm, Relaxation
    from cmnas_tf.models import ReidNetwork


_USUAL = "resnet50"


def _content(backbone: Any) -> Any:
    """The name of a backbone, or the plan of its cells in JSON."""
    backbone = backbone or _USUAL
    if isinstance(backbone, str) and Path(backbone).exists():
        backbone = named_backbone(backbone)
    return backbone if isinstance(backbone, (str, dict)) else backbone.to_json()


@dataclass(frozen=True, kw_only=True)
class NetworkSize(Options):
    """How large a network of a backbone is, and what it has besides."""

    cells: tuple[int, ...] = advanced(
        (),
        "Cells of each stage, where the backbone is made of cells. By default those of its file, "
        "else 2,2,2,2.",
    )
    width: float = advanced(
        1.0, "Factor on the number of channels of every stage.", minimum=0.0625, maximum=4.0
    )
    last_stride: int = advanced(
        1, "Stride of a ResNet's last stage; 1 keeps a larger feature map. [code]", choices=(1, 2)
    )
    parts: NetworkParts = PLAIN


@dataclass(frozen=True)
class NormSpace(NetworkSize, SearchSpace):
    """All assignments of separate / shared to a backbone's batch norms; 2^53 for ResNet-50.

    Attributes:
      backbone: name of a ResNet or a plan of cells; also the file of either, which is read.

    Raises:
      BadInput: no such backbone, or numbers of cells for a ResNet.
    """

    decides_singly: ClassVar[bool] = True
    backbone: Backbone = option(
        _USUAL,
        "resnet18, 34, 50, 101 or 152, or an architecture.json or genotype.json: whose batch norms "
        "are the sites. [code]",
        type=str,
        path=True,
        recorded=lambda given: _content(given),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        backbone = self.backbone
        if isinstance(backbone, str):
            backbone = named_backbone(backbone or _USUAL)
        object.__setattr__(self, "backbone", stacked(backbone, self.cells))

    def check(self, modalities: Collection[str]) -> None:
        """Refuses images of one modality, which leave nothing to be separate for."""
        if len(modalities) < 2:
            raise BadInput(
                f"The images are all {', '.join(modalities)}, and which norms to separate per "
                "modality is a question for two. Give images of both, or search for cells: "
                "search_space=reid_cells."
            )

    def decisions(self) -> dict[str, tuple[str, ...]]:
        """Every site, separate or shared."""
        return dict.fromkeys(sites_of(self.backbone), CHOICES)

    def supernet(
        self, relaxation: "Relaxation", num_classes: int, synchronized: bool = False
    ) -> "ReidNetwork":
        """See :class:`SearchSpace`."""
        from cmnas_tf.layers import MixedModalityNorm
        from cmnas_tf.models.two_stream import network_with, site_layer_name

        def make_norm(site: str, affine: bool = True) -> "MixedModalityNorm":
            return MixedModalityNorm(relaxation, synchronized, affine, name=site_layer_name(site))

        return network_with(
            make_norm,
            num_classes,
            self.backbone,
            self.last_stride,
            self.width,
            synchronized,
            self.parts,
        )

    def logits(self, supernet: "ReidNetwork") -> "dict[str, tf.Variable]":
        """The architecture logits by site, each [2] (separate, shared)."""
        norms = supernet.backbone.norms()
        return {site: norm.architecture_logits for site, norm in norms.items()}

    def probability_of_separate(self, supernet: "ReidNetwork") -> dict[str, float]:
        """By site, the softmax probability of *separate*, 0..1."""
        from scipy.special import expit

        return {site: float(expit(lead)) for site, lead in self._leads(supernet).items()}

    def _leads(self, supernet: "ReidNetwork") -> dict[str, float]:
        """By site, the logit of *separate* minus that of *shared*."""
        logits = {site: variable.numpy() for site, variable in self.logits(supernet).items()}
        return {site: float(pair[0]) - float(pair[1]) for site, pair in logits.items()}

    def derive(self, supernet: "ReidNetwork", provenance: Mapping[str, Any]) -> Architecture:
        """The architecture of the larger logit at each site; a tie derives *shared*.

        Its provenance also holds ``probability_of_separate`` by site and the sites that were
        ``ties``.
        """
        leads = self._leads(supernet)
        choices = {site: SEPARATE if lead > 0 else SHARED for site, lead in leads.items()}
        found = {
            "probability_of_separate": self.probability_of_separate(supernet),
            "ties": [site for site, lead in leads.items() if lead == 0],
        }
        return Architecture(choices, self.backbone, {**found, **provenance})

    def select(self, supernet: "ReidNetwork", architecture: Architecture) -> None:
        """See :class:`SearchSpace`."""
        for site, choice in architecture.choices.items():
            self.fix(supernet, site, choice)

    def fix(self, supernet: "ReidNetwork", decision: str, candidate: str) -> None:
        """See :class:`SearchSpace`."""
        sign = 1.0 if candidate == SEPARATE else -1.0
        self.logits(supernet)[decision].assign([sign * DECIDED, -sign * DECIDED])

    def hand_drawn(self) -> dict[str, Architecture]:
        """See :func:`cmnas_tf.architecture.hand_drawn`."""
        return hand_drawn(self.backbone)

    def size(self, architecture: Architecture) -> float:
        """How many norms are separate."""
        return len(self.chosen(architecture))

    def contains(self, architecture: Architecture) -> bool:
        """Whether it is one of this space: its backbone is."""
        return architecture.backbone == self.backbone

    def random(self, seed: int) -> Architecture:
        """Every site separate or shared, equally likely."""
        sites = sites_of(self.backbone)
        drawn = np.random.default_rng([seed, len(sites)]).integers(len(CHOICES), size=len(sites))
        choices = {site: CHOICES[n] for site, n in zip(sites, drawn.tolist(), strict=True)}
        return Architecture(choices, self.backbone, {"drawn": {"seed": seed}})

    def random_like(self, architecture: Architecture, seed: int) -> Architecture:
        """An architecture with as many separate sites, every set of them equally likely."""
        count = list(architecture.choices.values()).count(SEPARATE)
        sites = list(architecture.choices)
        random = np.random.default_rng([seed, count])
        chosen = set(random.choice(sites, count, replace=False).tolist())
        choices = {site: SEPARATE if site in chosen else SHARED for site in sites}
        return Architecture(choices, self.backbone, {"drawn": {"seed": seed, "separate": count}})

    def mutate(self, architecture: Architecture, seed: int) -> Architecture:
        """The architecture with one site changed, every site equally likely."""
        site = str(np.random.default_rng(seed).choice(list(architecture.choices)))
        other = SHARED if architecture.choices[site] == SEPARATE else SEPARATE
        return Architecture({**architecture.choices, site: other}, self.backbone)

    def chosen(self, architecture: Architecture) -> list[str]:
        """What a search decided for: the separate sites."""
        return [site for site, choice in architecture.choices.items() if choice == SEPARATE]

    def probabilities(self, architecture: Architecture) -> dict[str, float]:
        """How much a search was for *separate* at each site, 0..1."""
        return dict(architecture.provenance.get("probability_of_separate", {}))

    def save(self, architecture: Architecture, folder: Path) -> None:
        """Writes the authors' line of integers, ``architecture.cfg``."""
        write_text(folder / "architecture.cfg", architecture.to_cfg() + "\n")

    def describe(self, architecture: Architecture) -> str:
        """An architecture of this space, for people to read."""
        return f"{architecture.strip()}    (0 separate, 1 shared)"

    def summary(self, supernet: "ReidNetwork") -> tuple[dict[str, float], str]:
        """Scalars for TensorBoard, and how many sites are rather separate in a few words."""
        from scipy.special import entr

        separate = self.probability_of_separate(supernet)
        p = np.array(list(separate.values()))
        bits = (entr(p) + entr(1.0 - p)).mean() / np.log(2.0)
        scalars = {f"probability_of_separate/{site}": value for site, value in separate.items()}
        count = int((p > 0.5).sum())
        scalars |= {
            "architecture/mean_entropy_bits": float(bits),
            "architecture/separate": count,
        }
        return scalars, f"separate {count}/{len(p)}"


SPACES.register("norm", NormSpace)

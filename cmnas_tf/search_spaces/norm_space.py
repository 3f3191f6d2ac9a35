"""The search space of CM-NAS: at every batch norm, separate per modality or shared?"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.special import entr, expit

from cmnas_tf.architecture import SEPARATE, SHARED, Architecture, Backbone
from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_text
from cmnas_tf.layers import MixedModalityNorm, Relaxation
from cmnas_tf.models import ReidNetwork
from cmnas_tf.models.two_stream import network_with, site_layer_name

# A logit, and minus the other, at which a softmax is 0 or 1 in float32, and Gumbel's noise is lost.
DECIDED = 100.0


@dataclass(frozen=True)
class NormSpace:
    """All assignments of separate / shared to a backbone's batch norms; 2^53 for ResNet-50.

    Attributes:
      backbone: ``"resnet18"`` .. ``"resnet152"``, or a plan of cells.
      relaxation: how logits become mixture weights.
      last_stride: stride of a ResNet's last stage.
      width: factor on all channel numbers.
      synchronized: batch statistics over all replicas.
    """

    backbone: Backbone
    relaxation: Relaxation
    last_stride: int = 1
    width: float = 1.0
    synchronized: bool = False

    def check(self, modalities: Collection[str]) -> None:
        """Refuses images of one modality, which leave nothing to be separate for.

        Raises:
          BadInput: fewer than two modalities.
        """
        if len(modalities) < 2:
            raise BadInput(
                f"The images are all {', '.join(modalities)}, and which norms to separate per "
                "modality is a question for two. Give images of both, or search for cells: "
                "--search_space=reid_cells."
            )

    def supernet(self, num_classes: int) -> ReidNetwork:
        """The network that contains every architecture of the space."""

        def make_norm(site: str, affine: bool = True) -> MixedModalityNorm:
            name = site_layer_name(site)
            return MixedModalityNorm(self.relaxation, self.synchronized, affine, name=name)

        return network_with(
            make_norm, num_classes, self.backbone, self.last_stride, self.width, self.synchronized
        )

    def logits(self, supernet: ReidNetwork) -> dict[str, tf.Variable]:
        """The architecture logits by site, each [2] (separate, shared)."""
        norms = supernet.backbone.norms()
        return {site: norm.architecture_logits for site, norm in norms.items()}

    def probabilities(self, supernet: ReidNetwork) -> dict[str, float]:
        """By site, the softmax probability of *separate*, 0..1."""
        leads = self._leads(supernet)
        return {site: float(expit(lead)) for site, lead in leads.items()}

    def _leads(self, supernet: ReidNetwork) -> dict[str, float]:
        """By site, the logit of *separate* minus that of *shared*."""
        logits = {site: variable.numpy() for site, variable in self.logits(supernet).items()}
        return {site: float(pair[0]) - float(pair[1]) for site, pair in logits.items()}

    def expected_cost(
        self, supernet: ReidNetwork, height: int, width: int
    ) -> Callable[[], tf.Tensor]:
        """Refused: an image goes through one norm, whichever is chosen.

        Raises:
          BadInput: always.
        """
        raise BadInput(
            "--latency_weight is for a search for cells: whether a norm is separate or shared, an "
            "image goes through one, and the work is the same. Leave the flag out, or give "
            "--search_space=reid_cells."
        )

    def derive(self, supernet: ReidNetwork, provenance: Mapping[str, Any]) -> Architecture:
        """The architecture of the larger logit at each site; a tie derives *shared*.

        Args:
          supernet: a network of this space.
          provenance: what else to write down with the architecture; JSON-ready.

        Returns:
          The architecture; its provenance also holds ``probability_of_separate`` by site and the
          sites that were ``ties``.
        """
        leads = self._leads(supernet)
        choices = {site: SEPARATE if lead > 0 else SHARED for site, lead in leads.items()}
        found = {
            "probability_of_separate": self.probabilities(supernet),
            "ties": [site for site, lead in leads.items() if lead == 0],
        }
        return Architecture(choices, self.backbone, {**found, **provenance})

    def contains(self, architecture: Architecture) -> bool:
        """Whether it is one of this space."""
        return architecture.backbone == self.backbone

    def prefer(self, supernet: ReidNetwork, architecture: Architecture) -> None:
        """Sets the logits so that the supernet computes what ``architecture`` does."""
        for site, logits in self.logits(supernet).items():
            sign = 1.0 if architecture.choices[site] == SEPARATE else -1.0
            logits.assign([sign * DECIDED, -sign * DECIDED])

    def random_like(self, architecture: Architecture, seed: int) -> Architecture:
        """An architecture with as many separate sites, every set of them equally likely."""
        count = list(architecture.choices.values()).count(SEPARATE)
        sites = list(architecture.choices)
        random = np.random.default_rng([seed, count])
        chosen = set(random.choice(sites, count, replace=False).tolist())
        choices = {site: SEPARATE if site in chosen else SHARED for site in sites}
        return Architecture(choices, self.backbone, {"drawn": {"seed": seed, "separate": count}})

    def chosen(self, architecture: Architecture) -> list[str]:
        """What a search decided for: the separate sites."""
        return [site for site, choice in architecture.choices.items() if choice == SEPARATE]

    def leanings(self, architecture: Architecture) -> dict[str, float]:
        """How much a search was for *separate* at each site, 0..1."""
        return dict(architecture.provenance["probability_of_separate"])

    def save(self, architecture: Architecture, folder: Path) -> None:
        """Writes ``architecture.json``, and the authors' line of integers, ``architecture.cfg``."""
        architecture.save(folder / "architecture.json")
        write_text(folder / "architecture.cfg", architecture.to_cfg() + "\n")

    def describe(self, architecture: Architecture) -> str:
        """An architecture of this space, for people to read."""
        return f"{architecture.strip()}    (0 separate, 1 shared)"

    def summary(self, supernet: ReidNetwork) -> tuple[dict[str, float], str]:
        """Scalars for TensorBoard, and how many sites lean separate in a few words."""
        separate = self.probabilities(supernet)
        p = np.array(list(separate.values()))
        bits = (entr(p) + entr(1.0 - p)).mean() / np.log(2.0)
        scalars = {f"probability_of_separate/{site}": value for site, value in separate.items()}
        leaning = int((p > 0.5).sum())
        scalars |= {
            "architecture/mean_entropy_bits": float(bits),
            "architecture/separate": leaning,
        }
        return scalars, f"separate {leaning}/{len(p)}"

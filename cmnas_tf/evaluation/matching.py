"""Who asks and who answers, how images are compared and in what numbers: the options."""

from dataclasses import dataclass
from typing import Any

from cmnas_tf.data import LAYOUTS
from cmnas_tf.data.index import Dataset
from cmnas_tf.data.protocols import Protocol
from cmnas_tf.errors import BadInput
from cmnas_tf.listed_options import ListedOptions
from cmnas_tf.options import Option, Options, advanced, described, option


class ProtocolChoice(ListedOptions):
    """Who asks and who answers: the options of every data set's test protocol."""

    def make(self, dataset: str) -> Protocol:
        """The protocol of a data set; options of other data sets are passed over."""
        return LAYOUTS[dataset].protocol.of_values(self._given)

    @classmethod
    def options(cls) -> list[Option]:
        """Those of all protocols; what two of them have by one name is the same in both."""
        found: dict[str, Option] = {}
        for layout in LAYOUTS.values():
            for known in layout.protocol.options():
                if found.setdefault(known.name, known) != known:
                    raise BadInput(
                        f"The protocol of {layout.title} has an option {known.name!r} that another "
                        "data set's has otherwise; give it another name."
                    )
        return list(found.values())


@dataclass(frozen=True, kw_only=True)
class Matching(Options):
    """How images are compared, whatever the protocol."""

    embed_batch: int = advanced(
        64, "Images that are embedded at a time.", minimum=1, affects_result=False
    )
    flip_average: bool = option(
        False, "Average the embeddings of each image and of its mirror image."
    )
    rerank: bool = option(
        False,
        "Rank by k-reciprocal re-ranked distances (Zhong et al., CVPR 2017); memory grows with the "
        "square of the number of images.",
    )
    rerank_k1: int = advanced(
        20,
        "Re-ranking: size of the neighbourhood that describes an image; where people have fewer "
        "images than that, a smaller one does better. [pub]",
        minimum=1,
    )
    rerank_k2: int = advanced(
        6, "Re-ranking: nearest images whose descriptions are averaged. [pub]", minimum=1
    )
    rerank_lambda: float = advanced(
        0.3, "Re-ranking: part of the original distance in the result. [pub]", minimum=0, maximum=1
    )
    rerank_distance: str = advanced(
        "squared_euclidean",
        "Re-ranking: the original distance. squared_euclidean is the paper's, and the one for a "
        "good result. squared_dot_product is what published programs use in effect if they "
        "give dot products to the released code: there similar images count as far apart, so take "
        "it only to compare with such programs.",
        choices=("squared_euclidean", "squared_dot_product"),
    )

    @property
    def rerank_parameters(self) -> dict[str, Any] | None:
        """The parameters of ``retrieval.re_rank``; None where it is not wanted."""
        if not self.rerank:
            return None
        return {
            "k1": self.rerank_k1,
            "k2": self.rerank_k2,
            "lambda_value": self.rerank_lambda,
            "distance": self.rerank_distance,
        }


@dataclass(frozen=True, kw_only=True)
class Arithmetic(Options):
    """Precision of the network."""

    precision: str = option(
        "float32",
        "Precision of the feature maps; weights, statistics and ranking stay float32.",
        choices=("float32", "bfloat16", "float16"),
    )


def evaluation_settings(
    dataset: Dataset, protocol: Protocol, matching: Matching, weights: str, precision: str
) -> dict[str, Any]:
    """What the result of an evaluation follows from, besides images and weights; JSON-ready."""
    return {
        "dataset": dataset.layout,
        "trial": dataset.trial,
        "weights": weights,
        "precision": precision,
        **described([protocol, matching]),
    }

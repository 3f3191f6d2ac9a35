"""Named recipes: values of options that belong together, for searches and for trainings.

A recipe gives options their defaults; whatever is given besides wins. Another package registers its
own in :data:`RECIPES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

from cmnas_tf.options import Option, Options, option
from cmnas_tf.registry import Registry

B = TypeVar("B", bound="ByRecipe")


@dataclass(frozen=True, kw_only=True)
class NamedRecipe:
    """Values of options, by name."""

    title: str  # what it is for, in a few words
    both: Mapping[str, Any] = field(default_factory=dict)  # of a search and of a training alike
    search: Mapping[str, Any] = field(default_factory=dict)  # of a search alone
    train: Mapping[str, Any] = field(default_factory=dict)  # of a training alone

    def values(self, kind: str) -> dict[str, Any]:
        """Those of a kind, ``"search"`` or ``"train"``."""
        return {**self.both, **{"search": self.search, "train": self.train}[kind]}


RECIPES: Registry[NamedRecipe] = Registry("recipe")

RECIPES.register("cm_nas", NamedRecipe(title="the defaults, those of CM-NAS for SYSU-MM01"))
RECIPES.register(
    "cm_nas_regdb",
    NamedRecipe(title="those of CM-NAS for RegDB [code]", train={"average_decay": 0.968}),
)
RECIPES.register(
    "auto_reid",
    NamedRecipe(
        title="cells, 384x128 images and the objective of Auto-ReID",
        both={
            "image_height": 384,
            "image_width": 128,
            "images_per_identity": 4,  # [pub], with the objective and its margin
            "cross_entropy_weight": 0.5,
            "triplet_weight": 0.5,
            "correlation_weight": 0.0,
            "mmd_weight": 0.0,
            "margin": 0.3,
        },
        search={
            "search_space": "reid_cells",
            "split": "within_identity",  # [pub]
            "architecture_cross_entropy_weight": 0.5,
            "architecture_triplet_weight": 0.5,
            "architecture_correlation_weight": 0.0,
            "architecture_mmd_weight": 0.0,
            # The rest is our choice: the search was never released.
            "architecture_statistics": "batch",
            "architecture_learning_rate": 0.02,
            "epochs": 200,
            "warmup_epochs": 0,
            "identities_per_batch": 8,
            "optimizer": "sgd",
            "backbone_learning_rate": 0.1,
            "head_learning_rate": 0.1,
            "learning_rate_warmup": 0.0,
            "schedule": "cosine",
        },
    ),
)
RECIPES.register(
    "small",
    NamedRecipe(
        title="a narrow ResNet-18 on 64x32 images, to try things out",
        both={
            "backbone": "resnet18",
            "width": 0.25,
            "image_height": 64,
            "image_width": 32,
            "identities_per_batch": 8,
            "images_per_identity": 4,
            "pad": 4,
            "cache": "decoded",
            "backbone_learning_rate": 0.003,
            "head_learning_rate": 0.003,
            "learning_rate_warmup": 1.0,
            "schedule_every": "step",
        },
    ),
)


@dataclass(frozen=True)
class RecipeName(Options):
    """The defaults of this command's options."""

    recipe: str = option(
        "cm_nas", "Recipe whose values the options have by default", affects_result=False
    )

    @classmethod
    def _own_options(cls) -> list[Option]:
        (own,) = super()._own_options()
        titles = "; ".join(f"{name}: {found.title}" for name, found in RECIPES.items())
        return [replace(own, choices=tuple(RECIPES), help=f"{own.help}. {titles}.")]


@dataclass(frozen=True, kw_only=True)
class ByRecipe(Options):
    """Base of what has the options of a search or a training, and so takes a recipe's values."""

    kind: ClassVar[str]  # "search" or "train"
    # The recipe; once the values are taken from it that of the defaults.
    named: RecipeName = RecipeName()

    @classmethod
    def of_values(cls: type[B], values: Mapping[str, Any]) -> B:
        """See :class:`Options`; what is not given is the recipe's."""
        recipe = RECIPES[RecipeName.of_values(values).recipe]
        made = super().of_values(recipe.values(cls.kind))
        own = {found.name for found in cls.options()} - {"recipe"}
        return made.with_values(**{name: values[name] for name in values if name in own})

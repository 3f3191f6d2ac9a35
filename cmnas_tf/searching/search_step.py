"""What a search's step consists of, from its settings."""

import tensorflow as tf
from tensorflow import keras

from cmnas_tf import settings as settings_module
from cmnas_tf.losses import Objective
from cmnas_tf.models.precision import computed_in
from cmnas_tf.searching.bilevel import Bilevel
from cmnas_tf.searching.spaces import SearchSpace
from cmnas_tf.training.initial_weights import start_from
from cmnas_tf.training.loss_scale import scaled_for
from cmnas_tf.training.objectives import architecture_objective, cost_aware, weight_objective
from cmnas_tf.training.optimizers import architecture_optimizer, weight_optimizer


def objectives_of(settings: settings_module.Search) -> tuple[Objective, Objective]:
    """What the architecture follows, and what the weights do."""
    loss, split = settings.loss, settings.schedule.split
    return architecture_objective(loss, settings.architecture_loss, split), weight_objective(loss)


def make_bilevel(
    settings: settings_module.Search,
    strategy: tf.distribute.Strategy,
    space: SearchSpace,
    num_classes: int,
    objectives: tuple[Objective, Objective],
) -> Bilevel:
    """The supernet as a search begins with it, and what moves it.

    Args:
      settings: of the command.
      strategy: in whose scope the variables are made.
      space: of the settings.
      num_classes: training identities.
      objectives: see :func:`objectives_of`.

    Raises:
      BadInput: the images are too small for the supernet, the initial weights do not fit it, or
        its space has no cost.
    """
    schedule, size = settings.schedule, settings.input
    architecture_terms, weight_terms = objectives
    keras.utils.set_random_seed(settings.run.seed)
    precision = settings.arithmetic.precision
    with strategy.scope(), computed_in(precision):
        supernet = space.supernet(num_classes)
        supernet.check_height(size.image_height)
        if settings.architecture_loss.latency_weight:
            expected_cost = space.expected_cost(supernet, size.image_height, size.image_width)
            architecture_terms = cost_aware(
                architecture_terms, settings.architecture_loss, expected_cost
            )
        supernet.backbone.recompute = settings.devices.recompute
        start_from(supernet, settings)
        logits = list(space.logits(supernet).values())
        return Bilevel(
            supernet,
            scaled_for(precision, architecture_optimizer(logits, schedule)),
            scaled_for(precision, weight_optimizer(supernet, settings.optimizer, besides=logits)),
            architecture_terms,
            weight_terms,
            settings.batch.images_per_identity,
            second_order=schedule.order == "second",
            as_tested=schedule.architecture_statistics == "running",
        )

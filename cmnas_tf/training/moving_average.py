"""The moving average of a network's weights and running statistics."""

from collections.abc import Mapping

import tensorflow as tf


class MovingAverage:
    """``average = decay * average + (1 - decay) * value``, from the values at the start.

    Averages batch-norm statistics too, as the authors do. It is kept apart from the live variables
    (our choice) until :meth:`overwrite_live` is called, which the authors do every few epochs.

    Args:
      variables: ``{name: variable}`` of a network.
      decay: share of the average that one step keeps, 0..1.
    """

    def __init__(self, variables: Mapping[str, tf.Variable], decay: float):
        self.decay = decay
        self._live = dict(variables)
        self.variables = {
            name: tf.Variable(variable, trainable=False) for name, variable in self._live.items()
        }

    def update(self) -> None:
        """Takes one step; outside of replicas, after the weights moved."""
        strategy = tf.distribute.get_strategy()
        for name, live in self._live.items():
            strategy.extended.update(self.variables[name], _blend, args=(live, self.decay))

    def overwrite_live(self) -> None:
        """Gives the live variables the averages' values; outside of replicas."""
        strategy = tf.distribute.get_strategy()
        for name, live in self._live.items():
            strategy.extended.update(live, _overwrite, args=(self.variables[name],))


def _blend(average: tf.Variable, live: tf.Variable, decay: float) -> None:
    average.assign(decay * average + (1.0 - decay) * live)


def _overwrite(live: tf.Variable, average: tf.Variable) -> None:
    live.assign(average)

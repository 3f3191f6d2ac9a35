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
        dtypes = {average.dtype for average in self.variables.values()}
        shares = {d: (tf.constant(self.decay, d), tf.constant(1.0 - self.decay, d)) for d in dtypes}

        def blend(average: tf.Variable, live: tf.Variable) -> None:
            kept, taken = shares[average.dtype]
            average.assign(kept * average + taken * live, read_value=False)

        extended = tf.distribute.get_strategy().extended
        for name, live in self._live.items():
            extended.update(self.variables[name], blend, args=(live,))

    def overwrite_live(self) -> None:
        """Gives the live variables the averages' values; outside of replicas."""
        extended = tf.distribute.get_strategy().extended
        for name, live in self._live.items():
            extended.update(live, lambda v, x: v.assign(x), args=(self.variables[name],))

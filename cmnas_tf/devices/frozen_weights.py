"""A promise to TensorFlow on CPUs that weights do not change, which only a server can give.

oneDNN wants a convolution's weights in an order of its own. With this variable set it keeps them so
from the first call on, instead of ordering them at each; what they become later is not seen.
"""

import os
from collections.abc import Mapping

from cmnas_tf.errors import BadInput

ASSUMED = "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"


def require_weights_may_change(environment: Mapping[str, str] = os.environ) -> None:
    """Raises BadInput where it is set: a training would compute with the weights it began with."""
    if (value := environment.get(ASSUMED, "0")).lower() not in ("", "0", "false"):
        raise BadInput(
            f"{ASSUMED}={value} is for servers: on a CPU, trainings and searches would go on with "
            "the weights that they began with. Unset it."
        )

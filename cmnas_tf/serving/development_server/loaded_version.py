"""One version of a model in memory: what it can be asked, and its answers."""

import contextlib
import gc
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog

from cmnas_tf.serving.call_error import HTTP_STATUS, CallError, refused
from cmnas_tf.serving.exported_model import BESIDE, WARMUP

MOST_SECONDS = 60.0  # of work on a request, at whose end it stops between two images; our choice

DEFAULT_SIGNATURE = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY


class LoadedVersion:
    """A version, ready to answer.

    It is in a session of its own, as in TensorFlow Serving, because a session that is closed gives
    its memory back, which functions of ``tf.saved_model.load`` do not do reliably.

    Attributes:
      number: of the version, the name of its folder.
      signatures: by name; one is what ran when it was loaded.
      asked: those that can be asked.

    Args:
      folder: of the version.
      warm_up: whether to ask what the model's maker recorded, so that no user waits for a first
        time.

    Raises:
      Exception: whatever is wrong with the files; TensorFlow has many words for it.
    """

    def __init__(self, folder: Path, warm_up: bool = True):
        self.number = int(folder.name)
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._session.close)
            with graph.as_default():
                loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], str(folder))
            graph.finalize()
            self.signatures = dict(loaded.signature_def)
            self.asked = {key: one for key, one in self.signatures.items() if one.method_name}
            for log in recorded(folder) if warm_up else ():
                self.predict(log.request.model_spec.signature_name, arrays(log.request.inputs))
            on_failure.pop_all()

    def close(self) -> None:
        """Gives the memory back; no answer may be under way, and none can be asked for again."""
        self._session.close()
        del self._session
        gc.collect()  # a graph is a ring of references, and holds constants of any size

    def signature(self, name: str) -> meta_graph_pb2.SignatureDef:
        """The signature called ``name``, or the default one.

        Raises:
          CallError: FAILED_PRECONDITION; there is none.
        """
        found = self.asked.get(name or DEFAULT_SIGNATURE)
        if found is None:
            raise CallError(
                "FAILED_PRECONDITION",
                f"Version {self.number} has no signature {name!r}; its signatures are "
                f"{', '.join(sorted(self.asked))}.",
            )
        return found

    def predict(
        self, name: str, inputs: Mapping[str, np.ndarray], seconds: float | None = None
    ) -> dict[str, np.ndarray]:
        """Runs a signature; any number of threads may do so at the same time.

        Args:
          name: of the signature.
          inputs: by name, as are the outputs; strings are object arrays of bytes.
          seconds: that whoever asks will wait, if that is known.

        Raises:
          CallError: unknown signature, inputs that are not the signature's, what the model itself
            refuses, with the names of its nodes, or it was not done in time.
        """
        signature = self.signature(name)
        _check_inputs(signature, inputs)
        feeds = {signature.inputs[key].name: array for key, array in inputs.items()}
        fetches = {key: output.name for key, output in signature.outputs.items()}
        seconds = MOST_SECONDS if seconds is None else max(0.001, min(seconds, MOST_SECONDS))
        limits = tf.compat.v1.RunOptions(timeout_in_ms=math.ceil(1000 * seconds))
        try:
            return self._session.run(fetches, feeds, limits)
        except tf.errors.DeadlineExceededError as error:
            raise CallError(
                "DEADLINE_EXCEEDED", f"It was not done within {seconds:.3g} s. Send fewer images."
            ) from error
        except UnicodeDecodeError as error:  # of the message, which quotes the text
            raise refused("The model refused text that is not UTF-8.") from error
        except tf.errors.OpError as error:
            # Python's session writes a longer message about the one that a server sees.
            said = getattr(error.__context__, "message", error.message)
            raise CallError(_CODES.get(error.error_code, "UNKNOWN"), said) from error


def recorded(folder: Path) -> Iterator[PredictLog]:
    """The requests that a version brings to be warmed up with, and their answers."""
    file = folder / BESIDE / WARMUP
    for record in tf.compat.v1.io.tf_record_iterator(str(file)) if file.is_file() else ():
        yield PredictionLog.FromString(record).predict_log


def arrays(tensors: Mapping[str, TensorProto]) -> dict[str, np.ndarray]:
    """The values of messages."""
    return {name: tf.make_ndarray(tensor) for name, tensor in tensors.items()}


# TensorFlow and gRPC number them alike.
_CODES = {getattr(tf.errors, code): code for code in HTTP_STATUS}


def _check_inputs(signature: meta_graph_pb2.SignatureDef, inputs: Mapping[str, np.ndarray]) -> None:
    wanted, given = set(signature.inputs), set(inputs)
    if wanted != given:
        raise refused(
            f"The inputs must be {', '.join(sorted(wanted))}. "
            f"Missing: {', '.join(sorted(wanted - given)) or 'none'}; "
            f"unknown: {', '.join(sorted(given - wanted)) or 'none'}."
        )
    for name, array in inputs.items():
        dtype = tf.as_dtype(signature.inputs[name].dtype)
        shape = tf.TensorShape(signature.inputs[name].tensor_shape)
        if tf.as_dtype(array.dtype) != dtype or not shape.is_compatible_with(array.shape):
            sizes = ", ".join("any" if size is None else str(size) for size in shape)
            raise refused(
                f"Input {name!r} must be {dtype.name} [{sizes}]. "
                f"Received: {tf.as_dtype(array.dtype).name} {list(array.shape)}."
            )

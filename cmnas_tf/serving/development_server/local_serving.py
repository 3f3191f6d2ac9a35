"""What a local server for development serves, and where: the options, which need no TensorFlow."""

from dataclasses import dataclass

from cmnas_tf.options import Options, advanced, option, path_option
from cmnas_tf.serving.exported_model import MODEL_NAME


@dataclass(frozen=True, kw_only=True)
class LocalServing(Options):
    """Serves an exported model by gRPC and REST, for development and tests.

    Each option has its name in tensorflow_model_server.
    """

    model_base_path: str = path_option(
        "Folder of all versions of the model, the one that it was exported to.", required=True
    )
    model_name: str = option(MODEL_NAME, "Name of the model on the server.")
    host: str = option("127.0.0.1", "Address to listen on; 127.0.0.1 is this machine alone.")
    port: int = option(8500, "Port of gRPC; 0: any free one.", minimum=0, maximum=65535)
    rest_api_port: int = option(8501, "Port of REST; 0: any free one.", minimum=0, maximum=65535)
    file_system_poll_wait_seconds: float = advanced(
        1.0, "Seconds between two looks for a new version.", minimum=0.01
    )
    max_request_megabytes: int = advanced(
        64, "Largest request that is taken, in megabytes (10^6 bytes).", minimum=1, maximum=1000
    )
    grace_seconds: float = advanced(
        30.0,
        "Seconds that requests in flight have to finish when the server is stopped.",
        minimum=0,
    )

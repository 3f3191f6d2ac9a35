"""Settings of serving: the server for development, and the client of any server."""

from dataclasses import dataclass

from cmnas_tf.settings.group import Group, setting


@dataclass(frozen=True)
class ServedModel(Group):
    """Which model."""

    model_name: str = setting("reid", "Name of the model on the server.")


@dataclass(frozen=True)
class LocalServing(ServedModel):
    """What is served, and where; the flags have the names of tensorflow_model_server's."""

    model_base_path: str = setting("", "Folder of all versions of the model, --export_dir's.")
    host: str = setting("127.0.0.1", "Address to listen on; 127.0.0.1 is this machine alone.")
    port: int = setting(8500, "Port of gRPC; 0: any free one.", minimum=0, maximum=65535)
    rest_api_port: int = setting(8501, "Port of REST; 0: any free one.", minimum=0, maximum=65535)
    file_system_poll_wait_seconds: float = setting(
        1.0, "Seconds between two looks for a new version.", minimum=0.01
    )
    max_request_megabytes: int = setting(
        64, "Largest request that is taken, in megabytes (10^6 bytes).", minimum=1, maximum=1000
    )
    grace_seconds: float = setting(
        30.0,
        "Seconds that requests in flight have to finish when the server is stopped.",
        minimum=0,
    )


@dataclass(frozen=True)
class Server(ServedModel):
    """Which server, which model, and how it is asked."""

    server: str = setting(
        "", "HOST:PORT of the server; by default port 8500 (gRPC) or 8501 (REST) of this machine."
    )
    transport: str = setting("grpc", "What is spoken.", choices=("grpc", "rest"))
    version: int = setting(0, "Version of the model; 0: the newest one that is served.", minimum=0)
    deadline_seconds: float = setting(
        30.0, "Seconds after which a request is given up, its retries included.", minimum=0.001
    )
    retries: int = setting(
        5, "How often a request is repeated while the server is away or has no room.", minimum=0
    )
    backoff_seconds: float = setting(
        0.2, "Longest wait before the first retry; it doubles with each, up to 5 s.", minimum=0
    )
    seed: int = setting(0, "Seed of how long the waits really are.", minimum=0, maximum=2**32 - 1)


@dataclass(frozen=True)
class Request(Group):
    """What is asked."""

    action: str = setting(
        "embed",
        "What to do with the images; also given as the first word.",
        choices=("embed", "identify"),
        first_word=True,
    )
    images: str = setting("", "An image, or a folder of images, those of its subfolders included.")
    modality: str = setting(
        "from_path",
        "Of the images; from_path: by a folder on the way to each, named visible or infrared.",
        choices=("from_path", "visible", "infrared"),
    )
    batch_size: int = setting(16, "Images in a request.", minimum=1)
    k: int = setting(5, "Matches for each image.", minimum=1)
    other_cameras_only: bool = setting(
        False, "Leave out matches from an image's own camera, told by a folder named cam<camera>."
    )
    faiss_index: str = setting(
        "", "Folder of a FAISS index: embed on the server, and search in it on this machine."
    )
    effort: int = setting(
        32, "How far the FAISS index is searched: more finds more, and takes longer.", minimum=1
    )


@dataclass(frozen=True)
class Answer(Group):
    """What becomes of the answers."""

    output: str = setting("table", "How they are printed.", choices=("table", "json"))
    embeddings: str = setting("", "Also write the embeddings to this .npz file.")
    picture: str = setting("", "Also draw images and their matches into this PNG file.")
    gallery: str = setting("", "File of the server's gallery, which knows the matches' images.")
    gallery_dir: str = setting("", "Folder from which the image names in the gallery start.")
    rows: int = setting(8, "Images that the picture shows, spread over all.", minimum=1)

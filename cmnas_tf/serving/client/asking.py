"""What ``python -m export.client`` does: asks about every image, and shows the answers."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from cmnas_tf import settings
from cmnas_tf.errors import BadInput
from cmnas_tf.progress import progress_bar
from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.client import answers
from cmnas_tf.serving.client.image_files import ImageFile, find_images
from cmnas_tf.serving.client.remote_model import RemoteModel
from cmnas_tf.serving.client.retries import Retries
from cmnas_tf.serving.client.transport import Transport
from cmnas_tf.serving.gallery import Matches

T = TypeVar("T")

DEFAULT_ADDRESS = {"grpc": "127.0.0.1:8500", "rest": "127.0.0.1:8501"}


def run(options: settings.Client) -> str:
    """Asks about every image and writes the files that are wanted.

    Args:
      options: of the command.

    Returns:
      What to print: a table or JSON.

    Raises:
      BadInput: no images, a server that is away, has no such model or refuses an image.
    """
    _check(options)
    images = find_images(options.request.images, options.request.modality)
    embeddings, matches = _asked(images, options)
    answer, as_json = options.answer, options.answer.output == "json"
    if answer.embeddings:
        answers.write_embeddings(answer.embeddings, images, embeddings)
    if answer.picture:
        from cmnas_tf.serving.client.pictured_answers import write_picture

        write_picture(answer, images, embeddings, matches)
    if options.request.action == "identify":
        return (answers.matches_json if as_json else answers.matches_table)(images, matches)
    return (answers.embeddings_json if as_json else answers.embeddings_table)(images, embeddings)


def _asked(images: Sequence[ImageFile], options: settings.Client) -> tuple[Any, Any]:
    """Embeddings [N, D] and ``Matches``, each None where it is not needed."""
    request, answer = options.request, options.answer
    with _model(options.server) as model:
        if request.action == "embed":
            return _embed(model, images, options), None
        if request.faiss_index:
            from cmnas_tf.serving.faiss_index import FaissIndex

            index = FaissIndex.load(request.faiss_index, request.effort)
            embeddings = _embed(model, images, options)
            return embeddings, index.search(embeddings, request.k, _cameras(images, request))
        matches = _identify(model, images, options)
        wanted = answer.embeddings or answer.picture
        return (_embed(model, images, options) if wanted else None), matches


def _check(options: settings.Client) -> None:
    request, answer = options.request, options.answer
    searching = {"--faiss_index": request.faiss_index, "--picture": answer.picture}
    if request.action == "embed" and any(searching.values()):
        given = next(name for name, value in searching.items() if value)
        raise BadInput(f"{given} is about matches: give the word identify, or leave it out.")
    if answer.picture and not answer.gallery:
        raise BadInput(
            f"--picture={answer.picture} shows images of the gallery: give its file as --gallery, "
            "and the folder that its image names start from as --gallery_dir."
        )


@contextlib.contextmanager
def _model(server: settings.Server) -> Iterator[RemoteModel]:
    """The model on the server; calls that fail end with a sentence about what to do."""
    address = server.server or DEFAULT_ADDRESS[server.transport]
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise BadInput(f"--server={address!r} must be HOST:PORT, for example 127.0.0.1:8500.")
    retries = Retries(
        server.retries,
        server.backoff_seconds,
        server.deadline_seconds,
        np.random.default_rng(server.seed),
    )
    with contextlib.closing(_transport(server, address)) as transport:
        try:
            yield RemoteModel(transport, retries)
        except CallError as error:
            raise BadInput(_explained(error, server, address)) from error


def _transport(server: settings.Server, address: str) -> Transport:
    if server.transport == "rest":
        from cmnas_tf.serving.client.rest_transport import RestTransport

        return RestTransport(address, server.model_name, server.version)
    from cmnas_tf.serving.client.grpc_transport import GrpcTransport

    return GrpcTransport(address, server.model_name, server.version)


def _explained(error: CallError, server: settings.Server, address: str) -> str:
    at, said = f"{address} ({server.transport})", _sentence(error)
    if error.code == "UNAVAILABLE":
        return (
            f"No model server answers at {at}: {said} Start one, for example with python -m "
            "export.local_server --model_base_path=FOLDER, or correct --server and --transport."
        )
    if error.code == "NOT_FOUND":
        model = f"--model_name={server.model_name}"
        if server.version:
            model += f" --version={server.version}"
        return f"The server at {at} does not serve {model}: {said} Correct what it is asked for."
    if error.code == "DEADLINE_EXCEEDED":
        return (
            f"The server at {at} did not answer within --deadline_seconds="
            f"{server.deadline_seconds:g}. Give it more time, or fewer images at once with "
            "--batch_size."
        )
    if error.code == "RESOURCE_EXHAUSTED":
        return (
            f"The server at {at} has no room for the request, after {server.retries} retries: "
            f"{said} Come back later, or send fewer images at once with --batch_size."
        )
    if error.code == "FAILED_PRECONDITION":
        return (
            f"The model at {at} cannot do this: {said} A model identifies people if it was "
            "exported with --gallery; without one, search with --faiss_index."
        )
    return f"The server at {at} failed, and its own log says why: {error.code}. {said}"


def _sentence(error: CallError) -> str:
    return f"{str(error).removesuffix('.')}."


def _embed(model: RemoteModel, images: Sequence[ImageFile], options: settings.Client) -> np.ndarray:
    def ask(batch: Sequence[ImageFile]) -> np.ndarray:
        return model.embed(_files(batch), [image.modality for image in batch])

    return np.concatenate(_in_batches(ask, images, options))


def _identify(model: RemoteModel, images: Sequence[ImageFile], options: settings.Client) -> Matches:
    request = options.request

    def ask(batch: Sequence[ImageFile]) -> Matches:
        modalities = [image.modality for image in batch]
        return model.identify(_files(batch), modalities, _cameras(batch, request), request.k)

    parts = _in_batches(ask, images, options)
    return Matches(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _files(batch: Sequence[ImageFile]) -> list[bytes]:
    return [image.path.read_bytes() for image in batch]


def _cameras(images: Sequence[ImageFile], request: settings.Request) -> list[str]:
    """Of which gallery entries are left out."""
    if not request.other_cameras_only:
        return [""] * len(images)
    for image in images:
        if not image.camera:
            raise BadInput(
                f"--other_cameras_only needs the camera of {image.path}, and the folder it lies in "
                "does not tell: it must be .../cam<camera>/<person>/<image>. Leave it out, or "
                "rename the folders."
            )
    return [image.camera for image in images]


def _in_batches(
    ask: Callable[[Sequence[ImageFile]], T],
    images: Sequence[ImageFile],
    options: settings.Client,
) -> list[T]:
    size, found = options.request.batch_size, []
    with progress_bar(len(images), "image", options.progress.progress) as bar:
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            try:
                found.append(ask(batch))
            except CallError as error:
                if error.code != "INVALID_ARGUMENT":
                    raise
                raise BadInput(_refusal(ask, batch, error)) from error
            bar.update(len(batch))
    return found


def _refusal(
    ask: Callable[[Sequence[ImageFile]], object], batch: Sequence[ImageFile], error: CallError
) -> str:
    """Names the image for which a batch was refused: each is sent alone."""
    for image in batch:
        try:
            ask([image])
        except CallError as alone:
            return f"The server refused {image.path}: {_sentence(alone)} Replace or remove it."
    return (
        f"The server refused the {len(batch)} images from {batch[0].path} on together, and none of "
        f"them alone: {_sentence(error)} Send fewer at once with --batch_size."
    )

"""Asks a model server about every image of a folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.options import Options, advanced, option, path_option
from cmnas_tf.progress import progress_bar
from cmnas_tf.reading import read_bytes
from cmnas_tf.serving.call_error import CallError, reading_answer
from cmnas_tf.serving.client.answers import Answer, Answers
from cmnas_tf.serving.client.server import Server
from cmnas_tf.serving.entries import Entry, find_images
from cmnas_tf.serving.gallery import Matches
from cmnas_tf.serving.searchable import open_searchable
from cmnas_tf.serving.store import Choice

T = TypeVar("T")
Files = Sequence[Entry]


@dataclass(frozen=True, kw_only=True)
class Request(Options):
    """What is asked."""

    action: str = option(
        "embed",
        "What to do with the images; also given as the first word.",
        choices=("embed", "identify"),
        positional=True,
    )
    images: str = path_option(
        "An image, or a folder of images, those of its subfolders included.", required=True
    )
    modality: str = option(
        "from_path",
        "Modality of the images; from_path: each lies below a folder named visible or infrared.",
        choices=("from_path", "visible", "infrared"),
    )
    batch_size: int = advanced(16, "Images in a request.", minimum=1)
    k: int = option(5, "Matches for each image.", minimum=1)
    other_cameras_only: bool = option(
        False, "Leave out matches from an image's own camera, told by a folder named cam<camera>."
    )
    search_in: str = path_option(
        "A gallery file, a store or the folder of a FAISS index: embed on the server, and search "
        "in it on this machine.",
        old_names=("faiss_index",),
    )
    effort: int = advanced(
        32, "How far an index is searched there: more finds more, and takes longer.", minimum=1
    )
    choice: Choice = Choice()

    def cameras(self, images: Files) -> list[str]:
        """Of which gallery entries are left out, for each image; "": of none.

        Raises:
          BadInput: an image's own is to be left out, and its path does not tell it.
        """
        if not self.other_cameras_only:
            return [""] * len(images)
        for image in images:
            if not image.camera:
                raise BadInput(
                    f"`other_cameras_only` needs the camera of {image.name}, and the folder it "
                    "lies in does not tell: it must be .../cam<camera>/<person>/<image>. Leave it "
                    "out, or rename the folders."
                )
        return [image.camera for image in images]


def ask(
    request: Request,
    server: Server | None = None,
    answer: Answer | None = None,
    progress: bool = True,
) -> Answers:
    """Asks a server, by default that of this machine, about every image of a request.

    Also writes the files that ``answer`` wants, and shows a bar if that is wanted.

    Raises:
      BadInput: no images, a server that is away, has no such model or refuses an image.
    """
    server, answer = server or Server(), answer or Answer()
    _check(request, answer)
    images = find_images(request.images, request.modality)
    index = None
    if request.search_in:
        index = open_searchable(request.search_in, request.effort, request.choice)

    def embed(batch: Files) -> np.ndarray:
        return model.embed(*_contents(batch))

    def identify(batch: Files) -> Matches:
        return model.identify(*_contents(batch), request.cameras(batch), request.k)

    embeddings, matches = np.empty((len(images), 0), np.float32), None
    with server.connected() as model:
        if request.action == "identify" and index is None:
            parts = _in_batches(identify, images, request.batch_size, progress)
            matches = Matches(*map(np.concatenate, zip(*parts, strict=True)))
        if matches is None or answer.needs_embeddings:
            rows = _in_batches(embed, images, request.batch_size, progress)
            with reading_answer():  # one batch's may be longer than another's
                embeddings = np.concatenate(rows)
            if index is not None:
                matches = index.search(embeddings, request.k, request.cameras(images))
    found = Answers(images, embeddings, matches)
    if answer.embeddings:
        found.save_embeddings(answer.embeddings)
    if answer.picture and matches is not None:
        from cmnas_tf.serving.client.picture import write_picture

        write_picture(answer, found, matches)
    return found


def _check(request: Request, answer: Answer) -> None:
    searching = {"search_in": request.search_in, "picture": answer.picture}
    given = next((name for name, value in searching.items() if value), None)
    if request.action == "embed" and given:
        raise BadInput(f"`{given}` is about matches: give action=identify, or leave it out.")
    if request.choice != Choice() and not request.search_in:
        raise BadInput(
            "`cameras`, `since` and `until` choose entries of a store: give it as `search_in`."
        )
    if answer.picture and not answer.gallery:
        raise BadInput(
            f"picture={answer.picture} shows images of the gallery: give its file as `gallery`, "
            "and the folder that its image names start from as `gallery_dir`."
        )


def _contents(batch: Files) -> tuple[list[bytes], list[str]]:
    return [read_bytes(image.name) for image in batch], [image.modality for image in batch]


def _in_batches(ask: Callable[[Files], T], images: Files, size: int, progress: bool) -> list[T]:
    found = []
    with progress_bar(len(images), "image", progress) as bar:
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


def _refusal(ask: Callable[[Files], object], batch: Files, error: CallError) -> str:
    """Names the image for which a batch was refused: each is sent alone."""
    for image in batch:
        try:
            ask([image])
        except CallError as alone:
            said, move = alone.sentence, "Replace or remove it."
            if "k must" in said:
                move = "Ask for fewer matches with `k`, or identify in a larger gallery."
            return f"The server refused {image.name}: {said} {move}"
    return (
        f"The server refused the {len(batch)} images from {batch[0].name} on together, and none of "
        f"them alone: {error.sentence} Send fewer at once with `batch_size`."
    )

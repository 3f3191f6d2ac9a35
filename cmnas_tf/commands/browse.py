"""``cmnas browse``: a page to search a gallery with pictures."""

import contextlib
import logging
from dataclasses import dataclass

from cmnas_tf.errors import BadInput
from cmnas_tf.extras import needing
from cmnas_tf.interrupt import signals_handled_by
from cmnas_tf.options import Options, option, path_option
from cmnas_tf.serving.browse.search import Search, Searched
from cmnas_tf.serving.client.remote_model import RemoteModel
from cmnas_tf.serving.client.server import Server
from cmnas_tf.serving.searchable import open_gallery


@dataclass(frozen=True, kw_only=True)
class Browse(Options):
    """Shows a page in the browser: drop a picture, see its matches, mark right and wrong ones."""

    exports: tuple[str, ...] = option(
        (),
        "Folders of exported models to compare, each of all versions or of one. Without any a "
        "model server is asked.",
        path=True,
    )
    galleries: tuple[str, ...] = option(
        (),
        "For each model its gallery file or store, of cmnas build_index.",
        path=True,
        required=True,
    )
    gallery_dir: str = path_option("Folder from which the image names in the gallery start.")
    k: int = option(12, "Matches for each image.", minimum=1)
    host: str = option("127.0.0.1", "Address to listen on; 127.0.0.1 is this machine alone.")
    port: int = option(8080, "Port of the page; 0: any free one.", minimum=0, maximum=65535)
    server: Server = Server()


def main(command: Browse) -> None:
    """Shows the page until Ctrl-C, SIGTERM or SIGHUP, and ends with code 0."""
    with needing("browse"):
        from cmnas_tf.serving.browse.page import page_server

    if command.exports and command.server.server:
        raise BadInput(
            f"exports={','.join(command.exports)} are loaded here, and "
            f"server={command.server.server} is asked: give one of the two."
        )
    remote = contextlib.nullcontext() if command.exports else command.server.connected()
    with remote as model:
        if model is not None:
            model.signatures  # noqa: B018, asked for to hear of it now if the server is away
        search = Search(_searched(command, model), command.gallery_dir, command.k)
        server, listening = page_server(search, command.host, command.port)
        with signals_handled_by(lambda *_: setattr(server, "should_exit", True)), listening:
            host, port, *_ = listening.getsockname()
            print(f"open http://{host}:{port} in a browser; Ctrl-C ends it", flush=True)
            server.run(sockets=[listening])


def _searched(command: Browse, model: RemoteModel | None) -> list[Searched]:
    """Each export with its gallery, or without any the model on the server."""
    from cmnas_tf.serving.browse.exported import load_embed

    # TensorFlow calls sessions deprecated, in two lines.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    places = command.exports or (command.server.address,)
    if len(places) != len(command.galleries):
        raise BadInput(
            f"galleries={','.join(command.galleries)} must be one file for each of the models "
            f"{', '.join(places)}. Make one with each model's network by `build_gallery`."
        )
    found = []
    for place, file in zip(places, command.galleries, strict=True):
        gallery = open_gallery(file)
        embed = load_embed(place, gallery, file) if model is None else model.embed
        found.append(Searched(place, embed, gallery))
    return found

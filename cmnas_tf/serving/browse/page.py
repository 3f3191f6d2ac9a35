"""The page in a browser: above a picture to search with, below what each model finds."""

import socket
from functools import partial

import uvicorn
from fastapi import FastAPI
from nicegui import events, run, ui
from starlette.middleware.trustedhost import TrustedHostMiddleware

from cmnas_tf.errors import BadInput
from cmnas_tf.modality import INFRARED, MODALITIES
from cmnas_tf.serving.browse.search import MARKS, Match, Query, Search, picture
from cmnas_tf.serving.reading_images import BYTES, MOST_BYTES

_LOOPBACK = ("127.0.0.1", "localhost")
_MARKS = {mark: f"{symbol} {mark}" for mark, symbol in zip(MARKS, "✓✗", strict=True)}
_TOO_LARGE = f"{BYTES} 0."


def page_server(search: Search, host: str, port: int) -> tuple[uvicorn.Server, socket.socket]:
    """A server of the page, still to be run, and the socket for it to listen on.

    Raises:
      BadInput: the address is taken.
    """
    app = FastAPI(openapi_url=None)
    if host in _LOOPBACK:  # or a site could have its own name lead here, and read the page
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=_LOOPBACK)
    ui.run_with(app, root=partial(_Page, search), title="Search a gallery", dark=None)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise BadInput(
            f"host={host} port={port} cannot be listened on: {error}. Stop what uses it, or give "
            "another; port=0 takes any free one."
        ) from error
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    return uvicorn.Server(config), listening


class _Page:
    """What one visitor sees; the marks are everybody's."""

    def __init__(self, search: Search):
        self._search = search
        self._file: tuple[str, bytes] | None = None  # the query's name and content
        self._asked: Query | None = None  # what was asked last
        ui.colors(primary="#2b73b9")  # on which white is read more easily
        ui.add_css("#q-loading-bar { display: none }")  # above the page, without a name
        ui.query("html").props("lang=en")
        ui.label("Whom does a picture show?").classes("text-2xl").props("role=heading aria-level=1")
        with ui.row().classes("w-full items-start"):
            self._upload = ui.upload(
                auto_upload=True,
                max_file_size=MOST_BYTES,
                on_upload=self._take,
                on_rejected=lambda: self._say(_TOO_LARGE),
            ).classes("w-80 max-w-full")
            # In place of Quasar's, whose field has no name and cannot be reached by keyboard.
            with self._upload.add_slot("header"):
                pick = f"() => runMethod({self._upload.id}, 'pickFiles', [])"
                ui.button("Drop a picture here, or pick one", color=None).props(
                    "flat no-caps"
                ).classes("w-full").on("click", js_handler=pick)
                ui.element("q-uploader-add-trigger").classes("hidden")
            with ui.column():
                self._modality = ui.toggle([*MODALITIES], value=INFRARED, on_change=self._show)
                self._cameras = ui.select(
                    search.cameras, label="Only cameras", multiple=True, on_change=self._show
                ).classes("w-56")
                save = partial(ui.download.content, filename="marks.csv", media_type="text/csv")
                ui.button("Export marks (CSV)", on_click=lambda: save(search.csv()))
            self._query = ui.row()
        self._said = ui.label().classes("text-lg break-all").props("role=status")
        self._lists = ui.row().classes("w-full items-start")

    async def _take(self, event: events.UploadEventArguments) -> None:
        """Searches with a new picture."""
        self._upload.reset()
        if event.file.size() > MOST_BYTES:  # which a page does not send
            self._say(_TOO_LARGE)
        else:
            self._file = event.file.name, await event.file.read()
            await self._show()

    async def _show(self) -> None:
        """Searches and shows the matches, unless something else is asked meanwhile."""
        if self._file is None:
            return
        query = self._asked = Query(*self._file, self._modality.value)
        self._say(f"{query.name}, {query.modality}: searching ...")
        try:
            found = await run.io_bound(self._found, query, tuple(self._cameras.value))
            said = "best matches"
        except BadInput as error:
            found, said = [], str(error)
        if query is not self._asked:
            return
        self._say(f"{query.name}, {query.modality}: {said}")
        for holder in (self._query, self._lists):
            holder.clear()
        with self._query:
            _image(picture(query.content), query.name)
        for model, matches in zip(self._search.models, found or (), strict=False):
            with self._lists, ui.column().classes("flex-1 basis-80 min-w-0"):
                ui.label(model).classes("text-xl break-all").props("role=heading aria-level=2")
                with ui.row().classes("gap-2"):
                    for match, image in matches:
                        self._card(match, image)

    def _found(self, query: Query, cameras: tuple[str, ...]) -> list[list[tuple[Match, str]]]:
        """The matches by each model and their pictures: all that takes time."""
        found = self._search.matches(query, cameras)
        return [[(one, self._search.picture_of(one.image)) for one in by] for by in found]

    def _say(self, sentence: str) -> None:
        self._said.set_text(sentence)

    def _card(self, match: Match, image: str) -> None:
        with ui.card().classes("w-40 p-2 gap-1 items-center"):
            _image(image, match.image)
            ui.label(f"{match.rank}. {match.id}").classes("font-bold break-all")
            ui.label(f"camera {match.camera}, {match.score:.3f}").classes("break-all")
            mark = ui.toggle(_MARKS, clearable=True).props("dense no-caps")
            mark.bind_value(self._search.marks, match.pair)


def _image(source: str, name: str) -> None:
    """A picture, or its name where there is none."""
    if source:
        shown = ui.image(source).classes("w-24 h-48").props("fit=contain no-spinner no-transition")
        shown.props["alt"] = name
    else:
        ui.label(name).classes("w-24 h-48 break-all text-xs")

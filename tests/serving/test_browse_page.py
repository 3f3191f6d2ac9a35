"""The page in a real browser: the command as somebody runs it, and Chromium."""

import base64
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from cmnas_tf.serving.entries import Entry
from cmnas_tf.serving.exported_model import BESIDE
from cmnas_tf.serving.gallery import Gallery
from tests.serving import stand_in
from tests.serving.conftest import local_server

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytest.importorskip("nicegui")
playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")]

EVIL = "<img src=x onerror=alert(1)>"
QUERY = {
    "name": f"{EVIL}.png",
    "mimeType": "image/png",
    "buffer": stand_in.encoded(stand_in.pictures(1, seed=1)[0]),
}
DROP = """([name, type, content]) => {
    const transfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name, {type}));
    return transfer;
}"""


class Running:
    """``cmnas browse``, until it is told to end."""

    def __init__(self, *flags):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cmnas_tf", "browse", "--port=0", *map(str, flags)],
            cwd=Path(__file__).parents[2],
            env={**environment, "CUDA_VISIBLE_DEVICES": "-1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        self.url = re.fullmatch(r"open (http://127\.0\.0\.1:\d+) in a browser; .*\n", line)[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def end(self, number):
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two versions of the stand-in, and a gallery with one entry whose every word is HTML."""
    folder = tmp_path_factory.mktemp("browse")
    for version in (1, 2):
        beside = stand_in.write(folder / "export", version) / BESIDE
        beside.mkdir()
        (beside / "model_card.json").write_text(json.dumps({"network": {"sha256": "digest"}}))
    gallery = stand_in.write_gallery(folder / "people")
    evil = Gallery.of("digest", [Entry(EVIL, EVIL, EVIL, "visible")], -gallery.embeddings[:1])
    gallery.with_entries(evil).save(folder / "gallery.npz")
    return folder


@pytest.fixture(scope="module")
def running(folder):
    gallery, export = folder / "gallery.npz", folder / "export"
    models = f"--exports={export}/1,{export}", f"--galleries={gallery},{gallery}"
    with Running(*models, f"--gallery_dir={folder / 'people'}") as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(running, browser):
    """Opened; at the end nothing was complained of, and nobody else asked."""
    context = browser.new_context(viewport={"width": 400, "height": 800}, color_scheme="dark")
    page, faults = context.new_page(), []
    own = (running.url, running.url.replace("http", "ws"), "data:", f"blob:{running.url}")
    page.on("console", lambda said: said.type in ("error", "warning") and faults.append(said.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda asked: asked.url.startswith(own) or faults.append(asked.url))
    page.on("websocket", lambda opened: opened.url.startswith(own) or faults.append(opened.url))
    page.goto(running.url)
    yield page
    assert faults == []
    context.close()


def cards(page, camera=""):
    return page.locator(".q-card").filter(has_text=f"camera {camera}")


def ask(page, **changes):
    page.set_input_files("input[type=file]", {**QUERY, **changes})


def test_a_dropped_picture_is_searched_with(page):
    content = base64.b64encode(QUERY["buffer"]).decode()
    transfer = page.evaluate_handle(DROP, [QUERY["name"], QUERY["mimeType"], content])
    page.dispatch_event(".q-uploader", "dragover", {"dataTransfer": transfer})
    page.dispatch_event(".q-uploader__dnd", "drop", {"dataTransfer": transfer})
    page.get_by_text(f"{EVIL}.png, infrared: best matches").wait_for()
    both = 2 * (stand_in.PEOPLE + 1)
    assert cards(page).count() == both and cards(page, EVIL).count() == 2
    assert cards(page).get_by_role("img").count() == both - 2  # the name in place of those
    assert page.get_by_role("img", name="3.png").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.locator("body.body--dark").count() == 1
    page.get_by_role("button", name="visible").click()
    page.get_by_text(f"{EVIL}.png, visible: best matches").wait_for()


def test_no_mouse_is_needed(page):
    """The first that a keyboard reaches is what picks a picture; it stays so afterwards."""
    page.on("filechooser", lambda _: None)  # or Playwright would let go of it for a moment
    page.keyboard.press("Tab")
    playwright.expect(page.get_by_role("button", name="or pick one")).to_be_focused()
    for key in ("Enter", "Space"):
        with page.expect_file_chooser() as chosen:
            page.keyboard.press(key)
        chosen.value.set_files({**QUERY, "name": f"{key}.png"})
        page.get_by_text(f"{key}.png, infrared: best matches").wait_for()


def test_whoever_cannot_see_it_can_use_it(page):
    """As far as axe-core can tell, in the dark and in the light."""
    with page.expect_file_chooser() as chosen:
        page.get_by_text("or pick one").click()
    chosen.value.set_files(QUERY)
    page.get_by_text("best matches").wait_for()
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        page.locator(f"body.body--{scheme}").wait_for()
        assert not axe.Axe().run(page).response["violations"]


def test_cameras_are_filtered(page):
    ask(page)
    page.get_by_text("best matches").wait_for()
    page.get_by_label("Only cameras").click()
    page.get_by_role("option", name="4", exact=True).click()
    page.keyboard.press("Escape")
    playwright.expect(cards(page)).to_have_count(2)
    assert cards(page, "4").count() == 2


def test_a_broken_file_gets_a_sentence(page):
    ask(page, name="broken.png", buffer=QUERY["buffer"][:20])
    said = page.get_by_role("status")
    playwright.expect(said).to_contain_text(re.compile(r"broken\.png, infrared: (?!search).+\."))
    assert cards(page).count() == 0
    ask(page, name="large.png", buffer=bytes(16 * 2**20 + 1))
    playwright.expect(said).to_have_text(re.compile("An image file must have at most 16777216"))


def test_marks_are_of_both_models_and_exported(page):
    ask(page, name="marked.png")
    page.get_by_text("marked.png, infrared: best matches").wait_for()
    cards(page, "4").first.get_by_role("button", name="right").click()
    cards(page, EVIL).first.get_by_role("button", name="wrong").click()
    pressed = page.get_by_role("button", pressed=True)
    playwright.expect(pressed.filter(has_text="✓ right")).to_have_count(2)
    playwright.expect(pressed.filter(has_text="✗ wrong")).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export marks").click()
    text = download.value.path().read_text()
    lines = {(line["id"], line["mark"]) for line in csv.DictReader(text.splitlines())}
    assert lines == {("p4", "right"), (EVIL, "wrong")}


def test_a_name_that_leads_here_is_refused(running):
    request = urllib.request.Request(running.url, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request, timeout=30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_server_is_asked_and_each_signal_ends_the_page(folder, browser, number):
    with (
        local_server(folder / "export") as (_, endpoint),
        Running(f"--server={endpoint.grpc}", f"--galleries={folder / 'gallery.npz'}") as running,
    ):
        context = browser.new_context()
        page = context.new_page()
        page.goto(running.url)
        ask(page)
        page.get_by_text("best matches").wait_for()
        assert cards(page).count() == stand_in.PEOPLE + 1
        assert running.end(number) == 0
        context.close()

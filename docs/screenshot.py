"""Takes the pictures of the page to search with and of reports: ``make screenshot``.

They show runs of the demonstration, and the first synthetic study. Needs Chromium and the packages
of the page's tests, see requirements-optional.txt.

python -m docs.screenshot runs/demo
"""

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent
MODELS = "searched", "all_shared"
CAMERAS = 1, 2, 4, 5  # of visible light
QUERY = "cam3/0310/0001.jpg"


def main(demo: Path) -> None:
    """Serves both models of the demonstration with its test people, and looks; then at reports."""
    data = demo / "data"
    with tempfile.TemporaryDirectory() as folder:
        people = Path(folder, "people")
        for pid in (data / "exp" / "test_id.txt").read_text().split(","):
            for place in (f"cam{camera}/{int(pid):04d}" for camera in CAMERAS):
                shutil.copytree(data / place, people / "visible" / place)
        for name in MODELS:
            run = f"--run_dir={(demo / name).resolve()}", "--noprogress"
            _cmnas(
                folder, "build_index", *run, f"--gallery={name}.npz", "--add=people"
            ).communicate()
            _cmnas(folder, "export", *run, f"--export_dir=export/{name}").communicate()
        with _browsing(folder) as url, _page(480) as page:
            _search(page, url, data / QUERY)
            _take(page, "browse", full_page=True)
        _report(demo, ["search"], Path(folder, "report_search.html"))
        _report(demo, MODELS, Path(folder, "report_trainings.html"))
        _report(DOCS, ["study_synthetic"], Path(folder, "report_study.html"))


def _cmnas(folder: str, *words: str) -> subprocess.Popen[str]:
    """A command in a folder, by this checkout."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "cmnas_tf", *words]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


@contextmanager
def _browsing(folder: str) -> Iterator[str]:
    """The page's address, as long as it is there."""
    exports = ",".join(f"export/{name}" for name in MODELS)
    galleries = ",".join(f"{name}.npz" for name in MODELS)
    shown = f"--exports={exports}", f"--galleries={galleries}", "--gallery_dir=people", "--k=6"
    with _cmnas(folder, "browse", "--port=0", *shown) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]  # open URL in a browser
        process.terminate()


def _report(root: Path, folders: Sequence[str], html: Path) -> None:
    """Writes the report of folders below a root, and takes its picture."""
    words = f"--folders={','.join(folders)}", f"--page={html}"
    _cmnas(str(root), "report", *words).communicate()
    with _page(1100) as page:
        page.goto(html.as_uri())
        page.locator("svg").first.wait_for()
        _take(page, html.stem)


@contextmanager
def _page(height: int) -> Iterator[Page]:
    """A page of the browser, so many pixels high."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"))
        yield browser.new_page(viewport={"width": 1040, "height": height})
        browser.close()


def _search(page: Page, url: str, query: Path) -> None:
    """Picks a picture, and marks a match as right and one as wrong."""
    page.goto(url)
    page.set_input_files("input[type=file]", query)
    page.get_by_text("best matches").wait_for()
    for nth, mark in ((0, "right"), (3, "wrong")):
        page.get_by_role("button", name=mark).nth(nth).click()
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)  # the other model's marks follow, and buttons fade


def _take(page: Page, name: str, full_page: bool = False) -> None:
    """Writes what is seen."""
    taken = Image.open(io.BytesIO(page.screenshot(full_page=full_page))).convert("RGB")
    taken.save(DOCS / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

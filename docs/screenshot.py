"""Takes the picture of the page to search with, of runs of the demonstration.

With runs/demo, and test people of runs/demo/data/cam{1,2,4,5} in people/visible:

cmnas build_index --run_dir=runs/demo/NAME --gallery=NAME.npz --add=people   (searched, all_shared)
cmnas export      --run_dir=runs/demo/NAME --export_dir=export/NAME
cmnas browse --exports=export/searched,export/all_shared --galleries=searched.npz,all_shared.npz \\
  --gallery_dir=people --k=6
python -m docs.screenshot http://127.0.0.1:8080 runs/demo/data/cam3/0310/0001.jpg
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright


def main(url: str, query: str, output: Path) -> None:
    """Picks a picture, marks a match as right and one as wrong, and looks."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": 1040, "height": 480})
        page.goto(url)
        page.set_input_files("input[type=file]", query)
        page.get_by_text("best matches").wait_for()
        for nth, mark in ((0, "right"), (3, "wrong")):
            page.get_by_role("button", name=mark).nth(nth).click()
        page.mouse.move(0, 0)
        page.wait_for_timeout(1000)  # the other model's marks follow, and buttons fade
        taken = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
        taken.quantize(256).save(output, optimize=True)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:], Path(__file__).parent / "browse.png")

#!/usr/bin/env python
"""Save screenshots of the page for the documentation, with the example video and Chromium.

Examples:
    VENV_EXTRAS="app dev" source tools/env.sh; python tools/make_screenshots.py
    python tools/make_screenshots.py --out screenshots --all       # every state, light and dark
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.cli import ArgumentParser, run
from common.errors import InputError

DESKTOP, PHONE = dict(width=1280, height=800), dict(width=390, height=844)
NUM_EXACT_COLORS = 80
TIMEOUT_MS = 120_000   # The first video waits until the models are loaded.
VIDEOS = "[...document.querySelectorAll('video')]"
SWITCHES = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync"]


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--all", action="store_true", help="save every state instead of the two screenshots in docs/")
    return parser.parse_args(argv)


def save(page, path: Path) -> None:
    """Save the complete page as a small PNG file."""
    from PIL import Image
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.mouse.move(0, 0)
    page.wait_for_function(f"{VIDEOS}.every(v => v.error || v.readyState === 4 && v.networkState === 1)")
    page.wait_for_timeout(2500)   # The video player hides its loading indicator a little later.
    page.screenshot(path=path, full_page=True)
    with Image.open(path) as image:
        quantize(image.convert("RGB")).save(path, optimize=True)
    print(path)


def quantize(image):
    """Return an image with 256 colors.

    The most frequent colors stay exact, so that plain areas remain plain; the others serve the photographs.
    """
    from PIL import Image
    frequent = sorted(image.getcolors(image.width * image.height), reverse=True)[:NUM_EXACT_COLORS]
    others = image.quantize(256 - NUM_EXACT_COLORS).getpalette()
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for _, color in frequent for value in color] + others[:3 * (256 - NUM_EXACT_COLORS)])
    return image.quantize(palette=palette, dither=Image.Dither.NONE)


def request_example(page, compare: bool = False) -> None:
    """Open the example, make a request and wait for the cut.

    Args:
        page: a page without a video.
        compare: compare two models without queries instead.
    """
    page.click("[data-example]")
    page.wait_for_selector("#source-video")
    if compare:
        page.fill("#queries textarea", "")
        page.click("text=More options")
        page.click("#compare input")
        page.click("[role=option]:has-text('CLIP-It')")
    page.click("#submit")
    page.wait_for_selector("#cut video")
    page.evaluate(f"{VIDEOS}.forEach(v => {{ v.preload = 'auto'; if (v.readyState < 2) v.load(); }})")


def save_all_states(browser, url: str, out: Path) -> None:
    """Save every state that a user meets, in light and dark, on a desktop and on a phone."""
    for scheme in ("light", "dark"):
        for size, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
            page = browser.new_page(viewport=viewport, color_scheme=scheme)
            page.set_default_timeout(TIMEOUT_MS)
            page.goto(url)
            page.wait_for_selector(".dropzone")
            save(page, out / f"first_{size}_{scheme}.png")
            page.click("#submit")
            page.wait_for_selector("#request-status .error")
            page.set_input_files("#file", files=[dict(name="notes.mp4", mimeType="video/mp4", buffer=b"no video")])
            page.wait_for_selector("#encode-status .error")
            save(page, out / f"errors_{size}_{scheme}.png")
            request_example(page, compare=size == "desktop")
            save(page, out / f"answer_{size}_{scheme}.png")
            page.close()


def save_screenshots(out: Path, all_states: bool) -> None:
    """Start a server and a browser, and save the screenshots.

    Args:
        out: output folder.
        all_states: save every state instead of `page.png` and `page_phone.png`.

    Raises:
        InputError: Chromium is not installed.
    """
    from playwright.sync_api import sync_playwright

    from page.launch import running
    from page.model_catalog import ModelCatalog, standard_models
    from page.service import Service
    from tools.app import make_example
    chromium = shutil.which("chromium")
    if chromium is None:
        raise InputError(None, "chromium is not installed", "apt-get install chromium")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        service = Service(ModelCatalog(standard_models()), example=make_example(Path(folder)))
        service.prepare()
        browser = playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
        try:
            with running(service) as url:
                if all_states:
                    save_all_states(browser, url, out)
                    return
                for name, viewport in (("page.png", DESKTOP), ("page_phone.png", PHONE)):
                    page = browser.new_page(viewport=viewport, color_scheme="light")
                    page.set_default_timeout(TIMEOUT_MS)
                    page.goto(url)
                    request_example(page)
                    save(page, out / name)
                    page.close()
        finally:
            browser.close()
            service.close()


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return run(lambda: save_screenshots(args.out, args.all))


if __name__ == "__main__":
    raise SystemExit(main())

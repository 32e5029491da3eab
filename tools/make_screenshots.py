#!/usr/bin/env python
"""Takes the pictures of the page that README.md shows, with the example video and Chromium.

    VENV_EXTRAS="app dev" source tools/env.sh; python tools/make_screenshots.py
    python tools/make_screenshots.py --out pictures --all       # every state, light and dark, for looking at
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError

WIDE, PHONE = dict(width=1160, height=860), dict(width=390, height=844)
FLAT = 80   # colours
PATIENCE_MS = 120_000   # the first video waits for the models
VIDEOS = "[...document.querySelectorAll('video')]"
SWITCHES = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync"]


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--all", action="store_true", help="all states instead of the two pictures of README.md")
    return parser.parse_args(argv)


def save(page, path: Path) -> None:
    """The whole page as a small PNG."""
    from PIL import Image
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.mouse.move(0, 0)
    page.wait_for_function(f"{VIDEOS}.every(v => v.error || v.readyState === 4 && v.networkState === 1)")
    page.wait_for_timeout(2500)   # the browser's sign of loading goes a little later
    page.screenshot(path=path, full_page=True)
    with Image.open(path) as image:
        few_colours(image.convert("RGB")).save(path, optimize=True)
    print(path)


def few_colours(image):
    """An image of 256 colours: the commonest as they are, so that flat areas stay, and others for the pictures."""
    from PIL import Image
    common = sorted(image.getcolors(image.width * image.height), reverse=True)[:FLAT]
    others = image.quantize(256 - FLAT).getpalette()
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for _, colour in common for value in colour] + others[:3 * (256 - FLAT)])
    return image.quantize(palette=palette, dither=Image.Dither.NONE)


def ask_example(page, compare: bool = False) -> None:
    page.click("[data-example]")
    page.wait_for_selector("#whole")
    if compare:
        page.fill("#sentences textarea", "")
        page.click("text=More: compare two models")
        page.click("#compare input")
        page.click("[role=option]:has-text('CLIP-It')")
    page.click("#go")
    page.wait_for_selector("#cut video")
    page.evaluate(f"{VIDEOS}.forEach(v => {{ v.preload = 'auto'; if (v.readyState < 2) v.load(); }})")


def take_states(browser, url: str, out: Path) -> None:
    """Every state that a user meets, in light and dark, wide and on a phone."""
    for scheme in ("light", "dark"):
        for size, viewport in (("wide", WIDE), ("phone", PHONE)):
            page = browser.new_page(viewport=viewport, color_scheme=scheme)
            page.set_default_timeout(PATIENCE_MS)
            page.goto(url)
            page.wait_for_selector(".drop")
            save(page, out / f"first_{size}_{scheme}.png")
            page.click("#go")
            page.wait_for_selector("#asking .fault")
            page.set_input_files("#file", files=[dict(name="notes.mp4", mimeType="video/mp4", buffer=b"no video")])
            page.wait_for_selector("#watching .fault")
            save(page, out / f"errors_{size}_{scheme}.png")
            ask_example(page, compare=size == "wide")
            save(page, out / f"answer_{size}_{scheme}.png")
            page.close()


def take(out: Path, everything: bool) -> None:
    from playwright.sync_api import sync_playwright

    from page.example import make_example
    from page.launch import running
    from page.model_catalog import Catalogue, standard_models
    from page.service import Service
    chromium = shutil.which("chromium")
    if chromium is None:
        raise InputError("chromium is not installed; apt-get install chromium")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        service = Service(Catalogue(standard_models()), example=make_example(Path(folder)))
        service.prepare()
        browser = playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
        try:
            with running(service) as url:
                if everything:
                    take_states(browser, url, out)
                    return
                for name, viewport in (("page.png", WIDE), ("page_phone.png", PHONE)):
                    page = browser.new_page(viewport=viewport, color_scheme="light")
                    page.set_default_timeout(PATIENCE_MS)
                    page.goto(url)
                    ask_example(page)
                    save(page, out / name)
                    page.close()
        finally:
            browser.close()
            service.close()


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        take(args.out, args.all)
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""A browser, for whatever is a page."""

import pytest

from .chromium import launched


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture
def new_page(browser):
    """Makes a new user's empty page; what it asks the network for, and its faults, are kept."""
    contexts = []

    def new_page(script="", **options):
        contexts.append(browser.new_context(**options))
        contexts[-1].add_init_script(script)
        page = contexts[-1].new_page()
        page.asked, page.faults = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        return page

    yield new_page
    for context in contexts:
        context.close()

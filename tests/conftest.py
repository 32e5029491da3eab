"""A browser for the tests of pages, and the order of the tests."""

import pytest

from .chromium import launched


def pytest_collection_modifyitems(items):
    """Begin with the complete workflow, which takes longest, so that no process is idle at the end."""
    items.sort(key=lambda item: item.path.name != "test_flow.py")


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture
def new_page(browser):
    """Return a function that opens an empty page for a new user.

    The page records the URLs that it requests in `requested_urls`, and uncaught errors in `page_errors`.
    """
    contexts = []

    def new_page(script="", **options):
        contexts.append(browser.new_context(**options))
        contexts[-1].add_init_script(script)
        page = contexts[-1].new_page()
        page.requested_urls, page.page_errors = [], []
        page.on("request", lambda request: page.requested_urls.append(request.url))
        page.on("pageerror", lambda error: page.page_errors.append(str(error)))
        return page

    yield new_page
    for context in contexts:
        context.close()

from types import SimpleNamespace

import pytest

from common.errors import InputError
from page import requests
from page.requests import check_models


def check(accepts_text: bool, requires_text: bool, queries: tuple[str, ...]) -> None:
    """Check a request for a model with the given properties."""
    summarizer = SimpleNamespace(accepts_text=accepts_text, requires_text=requires_text)
    entry = SimpleNamespace(name="mine", accepts_text=True)
    check_models(SimpleNamespace(queries=queries, models=[entry]), lambda name: summarizer)


@pytest.mark.parametrize("queries", [(), ("red",)])
def test_a_model_with_optional_text_fits_any_request(queries):
    check(True, False, queries)


def test_a_model_that_requires_text_does_not_fit_a_request_without_query():
    with pytest.raises(InputError, match="the model “mine” needs a query"):
        check(True, True, ())


def test_a_model_without_text_does_not_fit_a_query():
    with pytest.raises(InputError, match="the model “mine” accepts no queries"):
        check(False, False, ("red",))


def test_the_models_of_a_request_share_its_progress(monkeypatch):
    def summarize(video, queries, budget, cues, mode, shorts, progress):
        progress(0.5)
        progress(1.0)
        return video

    monkeypatch.setattr(requests, "load_summarizer", lambda entry: SimpleNamespace(summarize=summarize))
    models = [SimpleNamespace(encoder_key="a"), SimpleNamespace(encoder_key="b")]
    request = SimpleNamespace(models=models, queries=(), budget=0.1, mode="summary", shorts=None)
    shares = []
    response = requests.run_request(request, dict(a="first", b="second"), [], shares.append)
    assert (response.result, response.compared) == ("first", "second")
    assert shares == [0.25, 0.5, 0.75, 1]

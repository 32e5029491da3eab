"""Eight users make requests concurrently, with the real models.

Print the response times with: python -m pytest -m slow -s tests/page/test_concurrent_users.py
"""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest

from page.launch import running
from page.model_catalog import ModelCatalog, standard_models
from page.service import Service
from tools.app import make_example

from .test_server import call

pytestmark = pytest.mark.slow
NUM_USERS, QUERIES = 8, ["a cat", "a rocket is shown", "a cup of coffee", ""]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    service = Service(ModelCatalog(standard_models()), example=make_example(folder), root=folder)
    service.prepare()
    with running(service) as url:
        yield url
    service.close()


@pytest.mark.parametrize("mode", ["summary", "shorts"])
def test_eight_users_at_once(url, capsys, mode):
    together = Barrier(NUM_USERS)

    def user(number):
        with httpx.Client(base_url=url, timeout=120) as http:
            video = call(http, "choose", name="example")[1][0]["video"]
            call(http, "encode", video=video)
            took_s = []
            for cut in (False, False, False, True):
                together.wait(120)
                started_s = time.perf_counter()
                query = QUERIES[(number + len(took_s)) % len(QUERIES)]
                kind, data = call(http, "ask", video=video, queries=[query], mode=mode, length="5-15", cut=cut)
                took_s.append(time.perf_counter() - started_s)
                assert kind == "complete", data
                assert data[0]["text"] == ([query] if query else []), data
                assert len(data[0]["clips"]) == 30
                assert bool(data[0]["urls"]) == cut
            return took_s

    with ThreadPoolExecutor(NUM_USERS) as pool:
        times_s = list(pool.map(user, range(NUM_USERS)))
    responses_s, cuts_s = [s for took in times_s for s in took[:3]], [took[3] for took in times_s]
    with capsys.disabled():
        print(f"\n{NUM_USERS} users at once, {mode}: response after {statistics.median(responses_s):.2f} s (median), "
              f"{max(responses_s):.2f} s (maximum); with the cut {statistics.median(cuts_s):.2f} s (median), "
              f"{max(cuts_s):.2f} s (maximum)")
    assert len(responses_s) == 3 * NUM_USERS

"""Eight people ask at once, with the real models; what it takes is printed: python -m pytest -m slow -s tests/page/test_users.py"""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest

from page.example import make_example
from page.launch import running
from page.model_catalog import Catalogue, standard_models
from page.service import Service

from .test_server import call

pytestmark = pytest.mark.slow
MOST_S = 15   # bears a loaded machine; what is printed is the measurement, which should be under 3 s
USERS, SENTENCES = 8, ["a cat", "a rocket is shown", "a cup of coffee", ""]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    service = Service(Catalogue(standard_models()), example=make_example(folder, folder / "none"), root=folder)
    service.prepare()
    with running(service) as url:
        yield url
    service.close()


@pytest.mark.parametrize("mode", ["summary", "shorts"])
def test_eight_users_ask_at_once(url, capsys, mode):
    together = Barrier(USERS)

    def user(number):
        with httpx.Client(base_url=url, timeout=120) as http:
            video = call(http, "choose", name="example")[1][0]["video"]
            call(http, "watch", video=video)
            took_s = []
            for cut in (False, False, False, True):
                together.wait(120)
                started_s = time.perf_counter()
                sentence = SENTENCES[(number + len(took_s)) % len(SENTENCES)]
                kind, told = call(http, "ask", video=video, sentences=[sentence], mode=mode, length="5-15", cut=cut)
                took_s.append(time.perf_counter() - started_s)
                assert kind == "complete" and told[0]["text"] == ([sentence] if sentence else []), told
                assert len(told[0]["clips"]) == 30 and bool(told[0]["urls"]) == cut
            return took_s

    with ThreadPoolExecutor(USERS) as pool:
        times_s = list(pool.map(user, range(USERS)))
    answers_s, cuts_s = [s for took in times_s for s in took[:3]], [took[3] for took in times_s]
    with capsys.disabled():
        print(f"\n{USERS} users at once, {mode}: answer after {statistics.median(answers_s):.2f} s (median), {max(answers_s):.2f} s (most); "
              f"with the cut {statistics.median(cuts_s):.2f} s (median), {max(cuts_s):.2f} s (most)")
    assert len(answers_s) == 3 * USERS and statistics.median(answers_s) < MOST_S

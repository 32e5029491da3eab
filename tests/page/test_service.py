import asyncio
import json
import re
import time
from dataclasses import replace

import pytest

from common.errors import InputError
from page.answer_view import COMBINED_LABEL, answer_section
from page.limits import Limits
from page.messages import error_text
from page.requests import parse_request
from page.steps import Answer, ExportedFiles
from page.task import Task, TaskCanceled
from page.tasks import encode
from pipelines.export.plan import plan_export
from pipelines.features.encoded_video import EncodedVideo
from tests.pipelines.fakes import color_encoders, write_video

from .conftest import LIMITS
from .fake_models import unrendered, unrendered_files


def upload(service, video, name="a video.mp4"):
    """Return a session with an uploaded video."""
    session = service.sessions.add(name)
    session.path.write_bytes(video.read_bytes())
    return session


async def collect(steps):
    return [step async for step in steps]


def make_request(service, queries="red", **options):
    return parse_request(service.catalog, LIMITS, queries, **options)


async def answer(service, session, request):
    """Answer a request; the answer is rendered as the `SummaryResponse` itself."""
    *_, answer = await collect(service.answer(session, request, unrendered))
    assert isinstance(answer, Answer)
    return answer


async def summarize(service, session, request):
    """Encode a video for all models of a request and return the answer."""
    for entry in request.models:
        await collect(service.encode(session, entry))
    return await answer(service, session, request)


async def export(service, session, request, found):
    """Export an answer and return its files."""
    *_, files = await collect(service.export(session, request, found, unrendered_files))
    assert isinstance(files, ExportedFiles)
    return files, session.results[-1]


def test_a_video_is_encoded_once_for_many_requests(service, red_video):
    async def run():
        session, entry = upload(service, red_video), service.catalog.default
        steps = await collect(service.encode(session, entry))
        assert {step.stage for step in steps} <= {"waiting", "encoding"}
        assert await collect(service.encode(session, entry)) == []
        for query, start_s in (("red", 20), ("grey", 0)):
            response = (await answer(service, session, make_request(service, query))).rendered
            assert response.result.moments[0][0] == start_s
            assert response.result.moments[0].text == query

    asyncio.run(run())


def test_a_second_model_with_other_encoders_has_its_own_encoded_video(service, red_video):
    async def run():
        session = upload(service, red_video)
        response = (await summarize(service, session, make_request(service, compare="slow"))).rendered
        assert set(session.encoded) == {"colors", "slow"}
        assert response.compared is not None
        assert response.compared.texts == response.result.texts == ("red",)

    asyncio.run(run())


def test_compared_models_with_equal_query_curves_differ_in_the_combined_score(service, red_video):
    async def run():
        session, request = upload(service, red_video), make_request(service, compare="slow")
        response = (await summarize(service, session, request)).rendered
        alone = answer_section(replace(response, compared=None), replace(request, compared=None))
        assert COMBINED_LABEL not in alone
        assert alone.count('class="row"') == 1
        assert "curve other" not in alone
        # Only the combined scores differ; the curves of the query stay the same.
        compared = replace(response.compared, scores=1 - response.compared.scores)
        html = answer_section(replace(response, compared=compared), request)
        lines = re.findall(r'<polyline class="curve( other)?" points="([^"]+)"', html)
        assert "score this video alike" in answer_section(response, request)
        assert "alike" not in html
        assert "alike" not in alone
        assert html.count('class="row"') == 2
        assert html.index(COMBINED_LABEL) < html.index(">red<")
        assert [kind for kind, _ in lines] == ["", " other"] * 2
        assert lines[0][1] != lines[1][1]
        assert lines[2][1] == lines[3][1]

    asyncio.run(run())


def test_exported_files_do_not_reveal_the_folder(service, red_video):
    async def run():
        session = upload(service, red_video, "My video.mp4")
        request = make_request(service, mode="shorts", count=1, length="4-9")
        files, folder = await export(service, session, request, await summarize(service, session, request))
        assert files.names == ["short-1.mp4", "summary.csv", "summary.edl", "summary.otio", "report.html",
                               "summary.json"]
        assert sorted(path.name for path in folder.iterdir()) == sorted(files.names)
        for name in files.names[1:]:
            text = (folder / name).read_text()
            assert str(service.sessions.folder) not in text
            assert session.token not in text
        assert '"video": "My video.mp4"' in (folder / "summary.json").read_text()

    asyncio.run(run())


@pytest.mark.parametrize("options", [
    pytest.param(dict(mode="moments", budget="30%"), id="moments"),
    pytest.param(dict(mode="shorts", count=1, length="4-9"), id="shorts")])
def test_pieces_are_exact_to_a_clip_at_first_and_to_a_frame_after_the_export(service, offset_video, options):
    async def run():
        session, request = upload(service, offset_video), make_request(service, **options)
        await collect(service.encode(session, service.catalog.default))
        hidden = session.path.rename(session.path.with_name("hidden"))   # An answer must not wait for the decoder.
        found = await answer(service, session, request)
        hidden.rename(session.path)
        assert found.rendered.result.intervals_s == [(20, 28)]
        files, folder = await export(service, session, request, found)
        exact = files.rendered.result
        written = json.loads((folder / "summary.json").read_text())
        assert exact.intervals_s == [(20.5, 28)]
        assert written["pieces"][0]["start"] == 20.5
        assert exact.frames == [piece["frame"] for piece in written["summary"]]
        # The command line refines the pieces in one step, with the same outcome.
        refined = request.model.make_summarizer().summarize(
            EncodedVideo.load(session.encoded["colors"].path), ["red"], request.budget, mode=request.mode,
            shorts=replace(request.shorts, refine=True))
        assert list(plan_export(refined).pieces_s) == exact.intervals_s

    asyncio.run(run())


def test_a_new_request_cancels_the_export_of_the_one_before(service, red_video):
    async def run():
        session, first, steps_seen = upload(service, red_video), make_request(service), []
        found = await summarize(service, session, first)
        steps = service.export(session, first, found, unrendered_files)
        await anext(steps)
        await answer(service, session, make_request(service, "grey"))
        with pytest.raises(TaskCanceled):
            async for step in steps:
                steps_seen.append(step)
        assert not any(isinstance(step, ExportedFiles) for step in steps_seen)
        assert not session.results[0].exists()

    asyncio.run(run())


def test_a_removed_session_frees_its_place_in_the_queue(service, red_video, hold_file):
    async def run():
        hold_file.touch()
        slow = service.catalog.find("slow")
        one, two = upload(service, red_video), upload(service, red_video)
        first, second = service.encode(one, slow), service.encode(two, slow)
        await anext(first)
        waiting = await anext(second)
        assert waiting.stage == "waiting"
        assert waiting.num_before == 1
        service.sessions.remove(one.token)
        while (later := await anext(second)).stage == "waiting":
            assert later.num_before in (0, 1)
        assert later.stage == "encoding"
        hold_file.unlink()
        await collect(second)
        assert "slow" in two.encoded
        with pytest.raises((TaskCanceled, InputError)):
            await collect(first)

    asyncio.run(run())


def test_waiting_for_a_canceled_task_is_not_a_use_of_the_session(service, red_video, monkeypatch):
    async def run():
        session, task = upload(service, red_video), Task(print, ())
        task.state = "running"
        monkeypatch.setattr(service.encoder, "submit", lambda *arguments, owner: task)
        steps = service.encode(session, service.catalog.default)
        await anext(steps)
        service.sessions.leave(session.token)
        await anext(steps)   # The task takes a moment to end.
        assert session.used_s < time.monotonic() - LIMITS.idle_timeout_s + 301
        task.end("canceled")
        with pytest.raises(TaskCanceled):
            await anext(steps)

    asyncio.run(run())


def test_a_video_of_the_shared_folder_is_encoded_once_for_all(service):
    async def run():
        name, = service.folder_videos()
        one, two = service.open_folder_video(name), service.open_folder_video(name)
        assert await collect(service.encode(one, service.catalog.default))
        assert await collect(service.encode(two, service.catalog.default)) == []
        assert one.token != two.token
        assert one.path == two.path
        with pytest.raises(InputError, match="no such video in the folder"):
            service.open_folder_video("../a video.mp4")

    asyncio.run(run())


def test_a_model_without_text_accepts_no_queries(service, red_video):
    async def run():
        session = upload(service, red_video)
        with pytest.raises(InputError, match="accepts no queries"):
            await summarize(service, session, make_request(service, model="no_text"))
        response = (await summarize(service, session, make_request(service, "", model="no_text"))).rendered
        assert response.result.texts == ()
        assert response.result.moments[0][0] == 20

    asyncio.run(run())


@pytest.mark.parametrize("options, message", [
    pytest.param(dict(mode="best"), "there is no mode 'best'", id="mode"),
    pytest.param(dict(budget="much"), "“much” is not a length for the cut; enter a percentage such as 15% or a time "
                                      "such as 60s", id="budget"),
    pytest.param(dict(budget="15"), "“15” is not a length for the cut", id="budget without unit"),
    pytest.param(dict(budget="200%"), "“200%” is not a length for the cut", id="budget over 100 %"),
    pytest.param(dict(mode="shorts", count=0), "1 to 20", id="no shorts"),
    pytest.param(dict(mode="shorts", count=None), "1 to 20", id="empty count"),
    pytest.param(dict(mode="shorts", count=2.5), "1 to 20", id="fractional count"),
    pytest.param(dict(mode="shorts", length="long"), "“long” is not a range of lengths for shorts; enter the minimum",
                 id="length"),
    pytest.param(dict(model="gpt"), "no model 'gpt'", id="unknown model"),
    pytest.param(dict(model="missing"), "its weights are missing", id="unavailable model"),
    pytest.param(dict(compare="nothing"), "no model", id="unknown second model"),
    pytest.param(dict(aspect="round"), "aspect 'round' is not a ratio", id="aspect"),
    pytest.param(dict(queries="x" * 501), "the limit is 500", id="long query")])
def test_invalid_requests_are_refused(service, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        parse_request(service.catalog, LIMITS, **options)


def test_a_request_without_queries_is_valid(service):
    request = make_request(service, "\n  \n")
    assert request.queries == ()
    assert request.model.key == "colors"
    assert request.options.edit_lists == ("csv", "edl", "otio")


def test_encoding_errors_do_not_reveal_the_folder(tmp_path):
    path = write_video(tmp_path / "long.mp4", ["red"] * 3)
    out = tmp_path / "out.npz"
    with pytest.raises(InputError, match="lasts 3 seconds, and the limit is 2 seconds"):
        encode(path, color_encoders, out, Limits(max_video_s=2), lambda fraction: None)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError) as caught:
        encode(path, color_encoders, out, Limits(), lambda fraction: None)
    assert str(tmp_path) not in error_text(caught.value)
    assert not out.exists()

import asyncio
import json
import re
import time
from dataclasses import replace

import av
import pytest

from common.errors import InputError
from page.answer_view import OVERALL, answer_section
from page.limits import Limits
from page.requests import read_question
from page.tasks import watch
from page.worker import Stopped, Work
from pipelines.export.plan import plan_export
from tests.pipelines.fakes import color_encoders, write_video

from .conftest import LIMITS


def sent(service, film, name="a film.mp4"):
    """A desk with a video as somebody sends it."""
    desk = service.desks.add(name)
    desk.path.write_bytes(film.read_bytes())
    return desk


async def all_of(steps):
    return [step async for step in steps]


def question(service, sentences="red", **keys):
    return read_question(service.catalogue, LIMITS, sentences, **keys)


async def asked(service, desk, question):
    for model in question.models:
        await all_of(service.watched(desk, model))
    return await service.answer(desk, question)


def test_it_is_watched_once_and_asked_many_times(service, film):
    async def run():
        desk, model = sent(service, film), service.catalogue.default
        steps = await all_of(service.watched(desk, model))
        assert {step.stage for step in steps} <= {"waiting", "watching"}
        assert await all_of(service.watched(desk, model)) == []   # nothing is left to do
        for sentence, start_s in (("red", 20), ("grey", 0)):
            answer = await service.answer(desk, question(service, sentence))
            assert answer.summary.moments[0][0] == start_s and answer.summary.moments[0].text == sentence

    asyncio.run(run())


def test_two_models_of_one_recipe_share_what_was_watched_and_others_do_not(service, film):
    async def run():
        desk = sent(service, film)
        answer = await asked(service, desk, question(service, compare="slow"))
        assert set(desk.encoded) == {"colours", "slow"}
        assert answer.other is not None and answer.other.texts == answer.summary.texts == ("red",)

    asyncio.run(run())


def test_compared_models_of_the_same_words_are_told_apart_by_what_decides(service, film):
    async def run():
        desk, compared = sent(service, film), question(service, compare="slow")
        answer = await asked(service, desk, compared)
        alone = answer_section(replace(answer, other=None), replace(compared, other=None))
        assert OVERALL not in alone and alone.count('class="row"') == 1 and "curve other" not in alone
        other = replace(answer.other, scores=1 - answer.other.scores)   # the words' own curves are the same
        page = answer_section(replace(answer, other=other), compared)
        lines = re.findall(r'<polyline class="curve( other)?" points="([^"]+)"', page)
        assert "score this video alike" in answer_section(answer, compared) and "alike" not in page + alone
        assert page.count('class="row"') == 2 and page.index(OVERALL) < page.index(">red<")
        assert [kind for kind, _ in lines] == ["", " other"] * 2
        assert lines[0][1] != lines[1][1] and lines[2][1] == lines[3][1]

    asyncio.run(run())


def test_the_cut_is_written_and_does_not_tell_where_it_lay(service, film):
    async def run():
        desk = sent(service, film, "My film.mp4")
        asked_for, ended = question(service, mode="shorts", count=1, length="4-9"), {}
        answer = await asked(service, desk, asked_for)
        await all_of(service.cut(desk, asked_for, answer, ended))
        assert ended["files"] == ["short-1.mp4", "summary.csv", "summary.edl", "summary.otio", "report.html", "summary.json"]
        assert sorted(path.name for path in ended["folder"].iterdir()) == sorted(ended["files"])
        for name in ended["files"][1:]:
            text = (ended["folder"] / name).read_text()
            assert str(service.desks.folder) not in text and desk.token not in text
        assert '"video": "My film.mp4"' in (ended["folder"] / "summary.json").read_text()

    asyncio.run(run())


@pytest.mark.parametrize("keys, whole", [(dict(mode="moments", budget="30%"), (20, 28)), (dict(mode="shorts", count=1, length="4-9"), (20, 28))])
def test_pieces_are_known_to_the_clip_at_once_and_with_the_cut_as_its_files_have_them(service, odd_film, monkeypatch, keys, whole):
    async def run():
        desk, asked_for, ended = sent(service, odd_film), question(service, **keys), {}
        await all_of(service.watched(desk, service.catalogue.default))
        with monkeypatch.context() as patched:
            patched.setattr(av, "open", None)   # nothing is read from the film while people wait for an answer
            answer = await service.answer(desk, asked_for)
        assert answer.summary.intervals_s == [whole]
        await all_of(service.cut(desk, asked_for, answer, ended))
        written = json.loads((ended["folder"] / "summary.json").read_text())
        answer = ended["answer"]
        assert answer.summary.intervals_s == [(20.5, 28)] and written["pieces"][0]["start"] == 20.5
        assert [dict(frame=frame) for frame in answer.summary.frames] == [dict(frame=piece["frame"]) for piece in written["summary"]]
        at_once = service.catalogue.load(asked_for.model).summarize(
            desk.encoded["colours"], ["red"], asked_for.budget, mode=asked_for.mode, shorts=replace(asked_for.shorts, refine=True))
        assert list(plan_export(at_once).pieces_s) == answer.summary.intervals_s   # and as the command line has them

    asyncio.run(run())


def test_another_question_stops_the_cut_of_the_one_before(service, film, monkeypatch):
    async def run():
        desk, first, ended = sent(service, film), question(service), {}
        answer = await asked(service, desk, first)
        steps = service.cut(desk, first, answer, ended)
        await anext(steps)
        await service.answer(desk, question(service, "grey"))
        with pytest.raises(Stopped):
            await all_of(steps)
        assert ended == {} and not desk.results[0].exists()

    asyncio.run(run())


def test_a_line_forms_and_who_leaves_frees_it(service, film, held):
    async def run():
        held.touch()
        slow = service.catalogue.find("slow")
        one, two = sent(service, film), sent(service, film)
        first, second = service.watched(one, slow), service.watched(two, slow)
        await anext(first)
        waiting = await anext(second)
        assert waiting.stage == "waiting" and waiting.before == 1
        service.desks.remove(one.token)   # he goes, or chooses another video
        while (later := await anext(second)).stage == "waiting":
            assert later.before in (0, 1)
        assert later.stage == "watching"
        held.unlink()
        await all_of(second)
        assert "slow" in two.encoded
        with pytest.raises((Stopped, InputError)):
            await all_of(first)

    asyncio.run(run())


def test_who_left_does_not_use_his_desk_while_the_work_ends(service, film, monkeypatch):
    async def run():
        desk, work = sent(service, film), Work(lambda: None, ())
        work.state = "working"
        monkeypatch.setattr(service.watchers, "submit", lambda *job: work)
        waiting = service.watched(desk, service.catalogue.default)
        await anext(waiting)
        service.desks.leave(desk.token)
        await anext(waiting)   # a process that ends takes its time
        assert desk.used_s < time.monotonic() - LIMITS.keep_s + 301
        work.end("stopped")
        with pytest.raises(Stopped):
            await anext(waiting)

    asyncio.run(run())


def test_a_video_of_the_folder_is_watched_once_for_all(service):
    async def run():
        name, = service.choices()
        one, two = service.choose(name), service.choose(name)
        assert await all_of(service.watched(one, service.catalogue.default))
        assert await all_of(service.watched(two, service.catalogue.default)) == []
        assert one.token != two.token and one.path == two.path
        with pytest.raises(InputError, match="no such video in the folder"):
            service.choose("../film.mp4")

    asyncio.run(run())


def test_models_that_take_words_and_those_that_do_not(service, film):
    async def run():
        desk = sent(service, film)
        with pytest.raises(InputError, match="takes no words"):
            await asked(service, desk, question(service, model="wordless"))
        answer = await asked(service, desk, question(service, "", model="wordless"))
        assert answer.summary.texts == () and answer.summary.moments[0][0] == 20

    asyncio.run(run())


@pytest.mark.parametrize("typed, message", [
    (dict(mode="best"), "no mode"), (dict(budget="much"), "“much”\\? Write a share such as 15% or a time such as 60s"), (dict(budget="15"), "“15”\\? Write a share"),
    (dict(budget="200%"), "“200%”\\? Write a share"),
    (dict(mode="shorts", count=0), "1 to 20"), (dict(mode="shorts", count=None), "1 to 20"), (dict(mode="shorts", count=2.5), "1 to 20"),
    (dict(mode="shorts", length="long"), "“long”\\? Write the shortest and the longest"), (dict(model="gpt"), "no model 'gpt'"), (dict(model="missing"), "it is not there"),
    (dict(compare="nothing"), "no model"), (dict(shape="round"), "aspect 'round' is not a ratio"), (dict(sentences="x" * 501), "at most 500")])
def test_bad_questions_are_refused_in_words(service, typed, message):
    with pytest.raises(InputError, match=message):
        read_question(service.catalogue, LIMITS, **typed)


def test_an_empty_question_is_one(service):
    found = question(service, "\n  \n")
    assert found.texts == () and found.model.key == "colours" and found.form.edit_lists == ("csv", "edl", "otio")


def test_watching_refuses_by_name_not_by_folder(tmp_path):
    path = write_video(tmp_path / "long.mp4", ["red"] * 3)
    out = tmp_path / "out.npz"
    with pytest.raises(InputError, match="lasts 3 seconds; at most 2 seconds"):
        watch(path, color_encoders, out, Limits(video_s=2), lambda share: None)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError) as caught:
        watch(path, color_encoders, out, Limits(), lambda share: None)
    assert str(tmp_path) not in str(caught.value) and not out.exists()

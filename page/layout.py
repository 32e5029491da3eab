"""The page's parts and what happens when they are used."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gradio as gr

from common.errors import InputError

from . import answer_view as html
from .api import add_calls
from .requests import MOST_SHORTS, Question, read_question
from .service import Service
from .sessions import Desk
from .worker import Stopped

STATIC = Path(__file__).parent / "static"
STYLE = (STATIC / "style.css").read_text(encoding="utf-8")
SCRIPT = (STATIC / "page.js").read_text(encoding="utf-8")
HEAD = '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
TITLE = "Video Summary by Words"
MODES = [("Summary: the best shots", "summary"), ("Moments, whole", "moments"), ("Shorts, a file each", "shorts")]
SHAPES = [("As it is", ""), ("Upright 9:16", "9:16"), ("Square 1:1", "1:1"), ("Wide 16:9", "16:9")]
# In the browser: what concerns nobody else asks the server nothing, and page.js knows what is asked and what has ended
KINDS_SHOWN = """mode => [{ __type__: "update", visible: mode !== "shorts" },
                         { __type__: "update", visible: mode === "shorts" }]"""
QUESTION = "(...values) => { document.dispatchEvent(new CustomEvent('asked', { detail: 'question' })); return values; }"
ASKED = "(...values) => { document.dispatchEvent(new Event('asked')); return values; }"
ENDED = "() => { document.dispatchEvent(new Event('ended')); }"
BROKEN = "The connection broke meanwhile. Reload the page to go on with this video"
EMPTY = "Here you will see where in the video it is, minute by minute, and the cut."


def theme() -> gr.themes.Base:
    """Fonts of the user's own system only; nothing is fetched. style.css cannot reach the page's own background."""
    plain = gr.themes.Default(primary_hue="teal", neutral_hue="slate", font=["system-ui", "sans-serif"],
                              font_mono=["ui-monospace", "monospace"])
    return plain.set(body_background_fill="#f6f5f2", body_background_fill_dark="#141417")


def build_view(service: Service) -> gr.Blocks:
    """The page of a service, to be mounted."""
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        View(service, blocks)
        add_calls(service)
    blocks.queue(default_concurrency_limit=None, max_size=500)
    return blocks


class View:
    """Lays the page out and answers to what is done on it; made inside its `blocks`."""

    def __init__(self, service: Service, blocks: gr.Blocks):
        self.service = service
        self._open: dict[str, list[str]] = {}   # the videos of each open page, by gradio's session
        gr.HTML(html.header())
        self.token = gr.State("")
        with gr.Row(elem_id="top"):
            with gr.Column(elem_id="video", min_width=300):
                self.chooser = gr.HTML(html.chooser(service.limits, service.example, service.choices()),
                                       js_on_load=SCRIPT, elem_id="chooser")
                self.state = gr.HTML(elem_id="watching")
                self.whole = gr.HTML(elem_id="player")
            with gr.Column(elem_id="question", min_width=300):
                self._lay_question()
        self.asking = gr.HTML(elem_id="asking")
        self.answer = gr.HTML(html.hint(EMPTY), elem_id="answer")
        self.result = gr.HTML(elem_id="result")
        gr.HTML(html.footer())
        self._listen(blocks)

    def _lay_question(self) -> None:
        models = [(model.name + (" (not available here)" if model.problem else ""), model.key)
                  for model in self.service.catalogue.models.values()]
        self.sentences = gr.Textbox(label="What are you looking for?", lines=3, max_lines=8, elem_id="sentences",
                                    placeholder="a goal\nthe crowd cheers",
                                    info="One sentence per line. Leave it empty for what people would keep.")
        self.mode = gr.Radio(MODES, value="summary", label="What to keep", elem_id="mode")
        self.budget = gr.Textbox("15%", label="How much of it", info="A share or a time: 15%, 60s, 1m30s",
                                 elem_id="budget", max_lines=1)
        with gr.Row(visible=False) as self.shorts:
            self.count = gr.Number(3, label="How many", precision=0, minimum=1, maximum=MOST_SHORTS, min_width=90)
            self.length = gr.Textbox("15-60", label="Seconds each", max_lines=1, min_width=90,
                                     elem_id="length")
        self.model = gr.Dropdown(models, value=self.service.catalogue.default.key, label="Model", elem_id="model",
                                 filterable=False)
        self.about = gr.HTML(html.model_lines([self.service.catalogue.default]))
        with gr.Accordion("More: compare two models, other shapes", open=False):
            self.compare = gr.Dropdown([("no other", ""), *models], value="", label="Compare with", filterable=False,
                                       elem_id="compare", info="Its curve is drawn dashed on the same picture.")
            self.shape = gr.Dropdown(SHAPES, value="", label="Shape of the cut", filterable=False)
            gr.HTML(html.model_lines(list(self.service.catalogue.models.values())))
        self.go = gr.Button("Find it", variant="primary", elem_id="go")

    def _listen(self, blocks: gr.Blocks) -> None:
        quiet: dict[str, Any] = dict(show_progress="hidden", api_visibility="private", concurrency_limit=None)
        watching = [self.token, self.state, self.whole, self.asking, self.answer, self.result]
        asked = [self.token, self.sentences, self.mode, self.budget, self.count, self.length, self.model, self.compare,
                 self.shape]
        shown = [self.asking, self.answer, self.result]
        ends = [
            self.chooser.submit(self._arrived, self.token, watching, js=ASKED, trigger_mode="multiple", **quiet),
            self.chooser.select(self._chosen, [self.token, self.sentences], [*watching, self.sentences], js=ASKED,
                                trigger_mode="multiple", **quiet),
            self.chooser.clear(self._removed, self.token, watching, js=ASKED, **quiet),
            gr.on([self.go.click, self.sentences.submit, self.budget.submit, self.count.submit, self.length.submit],
                  self._asked, asked, shown, js=QUESTION, trigger_mode="multiple", **quiet)]
        for end in ends:
            end.then(None, js=ENDED)
        self.chooser.focus(_nothing, trigger_mode="multiple", **quiet)   # page.js tells why; one may be lost itself
        self.mode.change(None, self.mode, [self.budget, self.shorts], js=KINDS_SHOWN)
        lines = {key: html.model_lines([model]) for key, model in self.service.catalogue.models.items()}
        self.model.change(None, self.model, self.about, js=f"key => ({json.dumps(lines)})[key]")
        blocks.unload(self._closed)

    async def _arrived(self, old: str, event: gr.EventData, request: gr.Request) -> AsyncIterator[dict]:
        def choose() -> Desk:
            return self.service.desks.find(event._data.get("video"))

        async for update in self._watch(request, old, choose, bool(event._data.get("again"))):
            yield update

    async def _chosen(self, old: str, sentences: str, event: gr.EventData,
                      request: gr.Request) -> AsyncIterator[dict]:
        name = event._data.get("folder")
        if not isinstance(name, str) and self.service.example is not None and not sentences.strip():
            yield {self.sentences: "\n".join(self.service.example.sentences)}
        choose = (lambda: self.service.choose(name)) if isinstance(name, str) else self.service.choose_example
        async for update in self._watch(request, old, choose):
            yield update

    async def _removed(self, old: str) -> dict:
        self.service.desks.remove(old)
        return self._cleared()

    def _cleared(self) -> dict:
        return {self.token: "", self.state: "", self.whole: "", self.asking: "", self.answer: html.hint(EMPTY),
                self.result: ""}

    def _closed(self, request: gr.Request) -> None:
        """Who closes the page needs his videos no more; but a reload, or a broken connection, looks the same."""
        tokens = self._open.pop(str(request.session_hash), [])
        for token in tokens:
            if not any(token in others for others in list(self._open.values())):
                self.service.desks.leave(token)

    async def _watch(self, request: gr.Request, old: str, choose: Callable[[], Desk],
                     again: bool = False) -> AsyncIterator[dict]:
        """Takes a new video and shows how far the watching is. An old one stays until the new one is known to be good.

        Args:
            old: the token that the page has.
            choose: gives the new video.
            again: whether it is one that the page had before; if that has gone, nothing is said.
        """
        desk, desks = None, self.service.desks
        kept = old if desks.has_watched(old) else ""
        try:
            desk = choose()
            self._take(request, kept, desk.token)
            if not kept:
                yield {**self._cleared(), self.token: desk.token}
            model, before = self.service.catalogue.default, ""
            async for progress in self.service.watched(desk, model):
                if html.state(progress) != before:
                    before = html.state(progress)
                    yield {self.state: before}
            self._take(request, desk.token)
            if kept != desk.token:
                desks.remove(kept)
            yield {**self._cleared(), self.token: desk.token, self.whole: html.player(desk, model.recipe)}
        except InputError as err:
            if desk is not None:
                desks.remove(desk.token)
            cleared = {} if kept or (again and desk is None) else self._cleared()
            yield {**cleared, self.state: "" if again and desk is None else html.fault(str(err))}
        except Stopped:
            yield {self.state: html.fault(BROKEN) if desk is not None and desks.has(desk.token) else gr.skip()}

    def _take(self, request: gr.Request, *tokens: str) -> None:
        """These are the page's videos now; others that it had go."""
        session = str(request.session_hash)
        for token in self._open.get(session, []):
            if token not in tokens:
                self.service.desks.remove(token)
        self._open[session] = [token for token in tokens if token]

    async def _asked(self, token: str, *typed) -> AsyncIterator[dict]:
        place = self.asking
        try:
            if not token:
                raise InputError("There is no video yet. Choose one first, or try the example")
            desk = self.service.desks.find(token)
            question = read_question(self.service.catalogue, self.service.limits, *typed)
            async for update in self._ready(desk, question):
                yield update
            answer = await self.service.answer(desk, question)
            told = html.answer_section(answer, question)
            yield {self.asking: "", self.answer: told, self.result: html.state(html.Progress("cutting"))}
            ended: dict[str, Any] = {}
            place, before = self.result, ""
            async for progress in self.service.cut(desk, question, answer, ended):
                if html.state(progress) != before:
                    before = html.state(progress)
                    yield {self.result: before}
            answer = ended["answer"]   # as the files have it
            exact = html.answer_section(answer, question)
            yield {self.answer: gr.skip() if exact == told else exact,
                   self.result: html.cut_section(answer.summary, desk, ended["folder"].name, ended["files"])}
        except InputError as err:
            yield {place: html.fault(str(err))}
        except Stopped:   # something else was asked meanwhile
            yield {self.asking: gr.skip()}

    async def _ready(self, desk: Desk, question: Question) -> AsyncIterator[dict]:
        """The video as all of the question's models need it."""
        for model in question.models:
            before = ""
            async for progress in self.service.watched(desk, model):
                if html.state(progress) != before:
                    before = html.state(progress)
                    yield {self.asking: before}


def _nothing() -> None:
    """An event that does nothing but end."""

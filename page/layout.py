"""The components of the page, and which event calls which handler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr

from . import answer_view as view
from .api import add_api
from .callbacks import Callbacks, Outputs
from .connections import ApiCalls
from .requests import MAX_SHORTS
from .service import Service

STATIC = Path(__file__).parent / "static"
STYLE = (STATIC / "style.css").read_text(encoding="utf-8")
SCRIPT = (STATIC / "page.js").read_text(encoding="utf-8")
HEAD = '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
MAX_RUNNING_EVENTS = 500
TITLE = "Video Summary by Words"
MODES = [("Best shots", "summary"), ("Complete moments", "moments"), ("Separate shorts", "shorts")]
ASPECTS = [("Same as the video", ""), ("Portrait 9:16", "9:16"), ("Square 1:1", "1:1"), ("Landscape 16:9", "16:9")]
# These handlers run in the browser: they need no server, or notify page.js of the start or end of an event.
SHOW_MODE_OPTIONS = """mode => [{ __type__: "update", visible: mode !== "shorts" },
                               { __type__: "update", visible: mode === "shorts" }]"""
REQUEST_STARTS = ("(...values) => { document.dispatchEvent(new CustomEvent('event-start', { detail: 'request' })); "
                  "return values; }")
EVENT_STARTS = "(...values) => { document.dispatchEvent(new Event('event-start')); return values; }"
EVENT_ENDS = "() => { document.dispatchEvent(new Event('event-end')); }"


def theme() -> gr.themes.Base:
    """Return a theme with system fonts only, so that the page fetches nothing from other servers."""
    plain = gr.themes.Default(primary_hue="teal", neutral_hue="slate", font=["system-ui", "sans-serif"],
                              font_mono=["ui-monospace", "monospace"])
    # style.css cannot set the background of the page itself.
    return plain.set(body_background_fill="#f6f5f2", body_background_fill_dark="#141417")


def build_page(service: Service, calls: ApiCalls) -> gr.Blocks:
    """Return the page and the API of a service, to be mounted in a web application.

    Args:
        service: does the work.
        calls: records the running calls of the API.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        Layout(service, blocks)
        add_api(service, calls)
    blocks.max_threads = MAX_RUNNING_EVENTS   # The default, 40, is less than the number of tasks that may wait.
    blocks.queue(default_concurrency_limit=None, max_size=500)
    return blocks


class Layout:
    """The components of the page; create it inside its `blocks`.

    Args:
        service: service whose models, limits and example are shown.
        blocks: the Gradio page.
    """

    def __init__(self, service: Service, blocks: gr.Blocks):
        self.service = service
        gr.HTML(view.header())
        self.token = gr.State("")
        with gr.Row(elem_id="top"):
            with gr.Column(elem_id="video", min_width=300):
                self.video_input = gr.HTML(view.video_input(service.limits, service.example, service.folder_videos()),
                                           js_on_load=SCRIPT, elem_id="video-input")
                self.encode_status = gr.HTML(elem_id="encode-status")
                self.player = gr.HTML(elem_id="player")
            with gr.Column(elem_id="request", min_width=300):
                self._add_request_form()
        self.request_status = gr.HTML(elem_id="request-status")
        self.answer = gr.HTML(view.hint(Callbacks.EMPTY_ANSWER), elem_id="answer")
        self.export = gr.HTML(elem_id="export")
        gr.HTML(view.api_section())
        self._connect_events(blocks)

    def _add_request_form(self) -> None:
        entries = list(self.service.catalog.entries.values())
        default = self.service.catalog.default
        models = [(entry.name + (" (not available)" if entry.problem else ""), entry.key) for entry in entries]
        self.queries = gr.Textbox(label="What are you looking for?", lines=2, max_lines=8, elem_id="queries",
                                  placeholder="a goal\nthe crowd cheers",
                                  info="One description per line. Leave it empty to get the most important parts.")
        self.mode = gr.Radio(MODES, value="summary", label="What to keep", elem_id="mode")
        with gr.Row(elem_classes="options"):
            self.budget = gr.Textbox("15%", label="Length (15%, 60s, 1m30s)", elem_id="budget", max_lines=1,
                                     min_width=120)
            with gr.Row(visible=False, elem_classes="options") as self.shorts:
                self.count = gr.Number(3, label="Number", precision=0, minimum=1, maximum=MAX_SHORTS, min_width=70)
                self.length = gr.Textbox("15-60", label="Seconds each", max_lines=1, min_width=80, elem_id="length")
            self.model = gr.Dropdown(models, value=default.key, label="Model", elem_id="model", filterable=False,
                                     min_width=200)
        self.description = gr.HTML(view.model_descriptions([default]), elem_id="description")
        with gr.Accordion("More options: compare two models, crop the cut", open=False, elem_id="more"):
            self.compare = gr.Dropdown([("None", ""), *models], value="", label="Compare with", filterable=False,
                                       elem_id="compare", info="Its scores are drawn as a dashed line.")
            self.aspect = gr.Dropdown(ASPECTS, value="", label="Aspect ratio of the cut", filterable=False,
                                      elem_id="aspect")
            gr.HTML(view.model_descriptions(entries))
        self.submit = gr.Button("Find it", variant="primary", elem_id="submit")

    def _connect_events(self, blocks: gr.Blocks) -> None:
        callbacks = Callbacks(self.service, Outputs(
            token=self.token, queries=self.queries, encode_status=self.encode_status, player=self.player,
            request_status=self.request_status, answer=self.answer, export=self.export))
        quiet: dict[str, Any] = dict(show_progress="hidden", api_visibility="private", concurrency_limit=None)
        video_parts = [self.token, self.encode_status, self.player, self.request_status, self.answer, self.export]
        form = [self.token, self.queries, self.mode, self.budget, self.count, self.length, self.model, self.compare,
                self.aspect]
        events = [
            self.video_input.submit(callbacks.open_upload, self.token, video_parts, js=EVENT_STARTS,
                                    trigger_mode="multiple", **quiet),
            self.video_input.select(callbacks.open_listed, [self.token, self.queries], [*video_parts, self.queries],
                                    js=EVENT_STARTS, trigger_mode="multiple", **quiet),
            self.video_input.clear(callbacks.remove_video, self.token, video_parts, js=EVENT_STARTS, **quiet),
            gr.on([self.submit.click, self.queries.submit, self.budget.submit, self.count.submit, self.length.submit],
                  callbacks.run_request, form, [self.request_status, self.answer, self.export], js=REQUEST_STARTS,
                  trigger_mode="multiple", **quiet)]
        for event in events:
            event.then(None, js=EVENT_ENDS)
        self.video_input.focus(_do_nothing, trigger_mode="multiple", **quiet)   # page.js explains this event.
        self.mode.change(None, self.mode, [self.budget, self.shorts], js=SHOW_MODE_OPTIONS)
        descriptions = {key: view.model_descriptions([entry]) for key, entry in self.service.catalog.entries.items()}
        self.model.change(None, self.model, self.description, js=f"key => ({json.dumps(descriptions)})[key]")
        blocks.unload(callbacks.page_closed)


def _do_nothing() -> None:
    """Handle an event that serves only to open the stream of events again."""

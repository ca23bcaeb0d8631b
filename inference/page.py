"""The page at `/`: a chat with the tuned model, its base, or both side by side.

Nothing on it comes from another host: system fonts, no analytics, no shared links.
"""

from __future__ import annotations

import html
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported

import gradio as gr
from conversation import Side, ask, ask_all
from decoding import Sampling
from fastapi import FastAPI
from service import Service

log = logging.getLogger(__name__)

BOTH, TUNED, BASE = "Side by side", "Tuned", "Base"
CSS = Path(__file__).with_name("page.css")
FONT = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "sans-serif")
MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")
FALLBACK_QUESTIONS = ("What can you help me with?", "What is the capital of France?")

MARK = (
    '<svg class="mark" viewBox="0 0 32 32" fill="none" stroke="currentColor" stroke-width="2.6" '
    'stroke-linecap="round" aria-hidden="true"><path d="M10 4v9a6 6 0 0 0 12 0V4M16 19v9"/></svg>'
)
USAGE = """```sh
curl {url}/v1/chat/completions \\
  -H "Authorization: Bearer $TUNESMITH_API_KEY" -H "Content-Type: application/json" \\
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
```
`model` is {models}. Add `"stream": true` to read the answer as it is made."""


def mount_page(app: FastAPI, service: Service) -> FastAPI:
    """Put the page at `/` of the app; to be called before it starts and after its other routes."""
    theme = gr.themes.Soft(
        primary_hue="indigo", neutral_hue="slate", font=list(FONT), font_mono=list(MONO)
    ).set(
        block_title_background_fill="transparent",
        block_title_background_fill_dark="transparent",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_title_padding="0",
    )
    return gr.mount_gradio_app(
        app,
        build_page(service),
        path="",
        theme=theme,
        css_paths=CSS,
        footer_links=[],
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        show_error=False,
    )


def build_page(service: Service) -> gr.Blocks:
    """Lay the page out and wire it."""
    has_both = len(service.models) > 1
    mode_at_first = BOTH if has_both else BASE
    with gr.Blocks(title="Tunesmith", analytics_enabled=False) as page:
        head = gr.HTML(lambda: head_html(service), padding=False)
        watch = gr.Timer(2, active=service.status == "loading")
        tuned, base = gr.State(Side()), gr.State(Side())
        mode = gr.Radio(
            [BOTH, TUNED, BASE],
            value=mode_at_first,
            show_label=False,
            container=False,
            visible=has_both,
            elem_id="mode",
        )
        with gr.Row(elem_id="sides"):
            sides = [
                build_side(service, name, visible=mode_at_first in (BOTH, name))
                for name in (TUNED, BASE)
            ]
        (tuned_box, tuned_chat, tuned_note), (base_box, base_chat, base_note) = sides
        question = gr.Textbox(
            placeholder="Ask a question",
            show_label=False,
            container=False,
            elem_id="ask",
            lines=1,
            max_lines=6,
            max_length=20_000,
            submit_btn="Ask",
        )
        with gr.Row(elem_id="try"):
            tries = [
                gr.Button(text, size="sm", variant="secondary")
                for text in (service.run.questions if service.run else ()) or FALLBACK_QUESTIONS
            ]
            stop = gr.Button(
                "Stop", size="sm", interactive=False, elem_classes=["action", "first-action"]
            )
            new = gr.Button("New conversation", size="sm", elem_classes="action")
        settings = build_settings()
        build_usage(service)

        chats = [tuned_chat, base_chat, tuned_note, base_note]
        answering = gr.on(
            [question.submit],
            answer_for(service),
            [question, mode, tuned, base, *settings],
            [question, tuned, base, *chats, stop],
            concurrency_limit=None,
            show_progress="hidden",
            api_visibility="private",
        )
        for button in tries:
            button.click(
                lambda text=button.value: text,
                None,
                question,
                queue=False,
                show_progress="hidden",
                api_visibility="private",
            )
        stop.click(
            stopped,
            [tuned, base],
            [tuned, base, tuned_note, base_note, stop],
            cancels=[answering],
            show_progress="hidden",
            api_visibility="private",
        )
        new.click(
            lambda: (Side(), Side(), [], [], "", "", gr.Button(interactive=False)),
            None,
            [tuned, base, *chats, stop],
            cancels=[answering],
            api_visibility="private",
        )
        mode.change(
            lambda chosen: (
                gr.Column(visible=chosen in (BOTH, TUNED)),
                gr.Column(visible=chosen in (BOTH, BASE)),
            ),
            mode,
            [tuned_box, base_box],
            show_progress="hidden",
            api_visibility="private",
        )
        watch.tick(
            lambda: (head_html(service), gr.Timer(active=service.status == "loading")),
            None,
            [head, watch],
            show_progress="hidden",
            api_visibility="private",
        )
    return page


def build_side(service: Service, name: str, *, visible: bool) -> tuple[Any, Any, Any]:
    """Return the column of one model, its chat and the line below it."""
    run = service.run
    detail = "" if run is None else run.run_id if name == TUNED else run.base_model
    with gr.Column(elem_classes="side", visible=visible) as column:
        gr.HTML(
            f'<div class="side-title {name.lower()}"><b>{name}</b>'
            f"<span>{html.escape(detail)}</span></div>",
            padding=False,
        )
        chat = gr.Chatbot(
            show_label=False,
            elem_classes="chat",
            placeholder=f"**{name} model**<br>Its answers appear here.",
            buttons=[],
            feedback_options=None,
            allow_tags=False,
            latex_delimiters=[],
        )
        note = gr.Markdown(elem_classes="note", container=False)
    return column, chat, note


def build_settings() -> list[Any]:
    """Return the inputs for how to answer, in the order that `answer_for` takes them."""
    with gr.Accordion("Settings", open=False):
        system = gr.Textbox(
            "",
            label="System message",
            info="Empty: what the model's own template says.",
            lines=2,
            max_length=8_000,
        )
        with gr.Row():
            max_tokens = gr.Slider(16, 1024, value=192, step=16, label="Longest answer, tokens")
            temperature = gr.Slider(
                0, 1.5, value=0, step=0.1, label="Temperature", info="0: always the same answer"
            )
            top_p = gr.Slider(0.1, 1, value=1, step=0.05, label="Top-p")
    return [system, max_tokens, temperature, top_p]


def build_usage(service: Service) -> None:
    """Show how a program asks the same question."""
    if not service.models:
        return
    names = " or ".join(f"`{name}`" for name in service.models)

    def usage(request: gr.Request) -> str:
        host = request.headers.get("x-forwarded-host") or request.headers.get("host") or ""
        scheme = request.headers.get("x-forwarded-proto") or "http"
        return USAGE.format(url=f"{scheme}://{host}", model=service.models[0], models=names)

    with gr.Accordion("Use it from a program", open=False):
        text = gr.Markdown()
    # The address is known only once somebody has come by it.
    gr.context.Context.root_block.load(usage, None, text, api_visibility="private")


def head_html(service: Service) -> str:
    """Return the head line: which run and base are served, and whether they are ready."""
    run = service.run
    if run is None:
        title, text = "No run yet", service.detail
    elif run.adapter_path is None:
        title, text = "Base model only", run.base_model
    else:
        title, text = run.run_id, f"tuned from {run.base_model}"
    words = {"ok": "Ready", "loading": "Loading the model", "waiting": "Waiting for a run"}
    state = words.get(service.status, "Not running")
    return (
        f'<div id="head">{MARK}<div><h1>{html.escape(title)}</h1><p>{html.escape(text)}</p></div>'
        f'<span class="state {service.status}"><span class="dot"></span>{state}</span></div>'
    )


def answer_for(service: Service) -> Any:
    """Return the handler of a question."""

    async def answer(
        question: str,
        mode: str,
        tuned: Side,
        base: Side,
        system: str | None,
        max_tokens: float,
        temperature: float,
        top_p: float,
    ) -> AsyncIterator[tuple[Any, ...]]:
        sides = {True: tuned, False: base}
        if not question.strip():
            yield shown(question, sides, is_running=False)
            return
        sampling = Sampling(int(max_tokens), float(temperature), float(top_p))
        asked = [is_tuned for is_tuned in sides if mode in (BOTH, TUNED if is_tuned else BASE)]
        for is_tuned in asked:
            sides[is_tuned] = sides[is_tuned].asked(question.strip())
        yield shown("", sides, is_running=True)
        growing = {
            is_tuned: ask(
                service, sides[is_tuned], tuned=is_tuned, system=system or "", sampling=sampling
            )
            for is_tuned in asked
        }
        try:
            async for changed in ask_all(growing):
                sides.update(changed)
                yield shown("", sides, is_running=True)
        except Exception as error:  # our bug: the page must not stand still without a word
            log.error("The page failed: %s: %s", type(error).__name__, error)
            note = "Something went wrong here; the app's log says what."
            sides.update({is_tuned: replace(sides[is_tuned], note=note) for is_tuned in asked})
        yield shown("", sides, is_running=False)

    return answer


def stopped(tuned: Side, base: Side) -> tuple[Any, ...]:
    """Return the sides, their notes and the button once an answer was broken off."""
    sides = [
        replace(side, note=side.note.removesuffix("...").strip() + " (stopped)")
        if side.note.endswith("...")
        else side
        for side in (tuned, base)
    ]
    return (*sides, *(side.note for side in sides), gr.Button(interactive=False))


def shown(question: str, sides: dict[bool, Side], *, is_running: bool) -> tuple[Any, ...]:
    """Return the values of the page's outputs, in their order."""
    tuned, base = sides[True], sides[False]
    return (
        question,
        tuned,
        base,
        list(tuned.history),
        list(base.history),
        tuned.note,
        base.note,
        gr.Button(interactive=is_running),
    )

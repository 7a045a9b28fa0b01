"""Runs the command: serves the model, its page and its REST endpoint behind one gate."""

import asyncio
import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from bookcls.predicting.predictor import Predictor
from bookcls.serving.answerer import Answerer
from bookcls.serving.body import Bodies
from bookcls.serving.connections import ImpatientProtocol
from bookcls.serving.gate import Gate
from bookcls.serving.photos import find_photos
from bookcls.serving.resolve import ResolvedSettings, format_address, is_local
from bookcls.serving.settings import ServeConfig

if TYPE_CHECKING:
    from bookcls.serving.page import Page

# Gradio reads these when it is imported: no telemetry, no downloads.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
MOST_CONNECTIONS = 64
"""A browser keeps two or three open; idle ones count too."""
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")


def run(config: ServeConfig, resolved: ResolvedSettings) -> None:
    """Serves until it is stopped.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    with tempfile.TemporaryDirectory(prefix="bookcls-serve-") as folder:
        page = make_page(config, resolved)
        address = format_address(config.host, resolved.listener)
        if warned := warning(config, resolved.listener):
            print(warned)
        print(f"page     {address}")
        print(f"REST     curl --data-binary @photo.jpg {address}/predict")
        print("         Ctrl+C stops it", flush=True)
        try:
            asyncio.run(answer(config, resolved.listener, Path(folder), page))
        except KeyboardInterrupt:
            print("stopped")


async def answer(config: ServeConfig, listener: socket.socket, folder: Path, page: "Page") -> None:
    """Serves requests; Gradio's parts are created in the event loop that they run in."""
    await make_server(config, listener, folder, page).serve(sockets=[listener])


def make_page(config: ServeConfig, resolved: ResolvedSettings) -> "Page":
    """Loads the model, finds the run's photos, and prints what will be served.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    from bookcls.serving.page import Page

    accelerator = config.trainer.accelerator
    predictor = Predictor(
        resolved.ckpt, resolved.threshold, rotations=config.rotations, accelerator=accelerator
    )
    print(f"model    {resolved.ckpt}: {', '.join(predictor.class_names)}")
    print(f"unsure   below {resolved.threshold.value:g}, {resolved.threshold.why}", flush=True)
    answerer = Answerer(
        predictor, accelerator, max_waiting=config.max_waiting, timeout=config.timeout
    )
    photos = find_photos(resolved.root, predictor.class_names)
    if photos.train:
        answerer.compare_with(photos.train)
    shown = f"{len(photos.train)} for training, {len(photos.tests)} to try"
    print(f"photos   {shown}" + (f", from {resolved.root}" if resolved.root else ""))
    for line in photos.left_out:
        print(f"         {line}")
    return Page(answerer, photos)


def make_server(
    config: ServeConfig, listener: socket.socket, folder: Path, page: "Page"
) -> uvicorn.Server:
    """Puts the page and the REST address behind the gate.

    Args:
        config: The settings.
        listener: The listening socket.
        folder: The folder for uploads.
        page: The web page.
    """
    import gradio as gr
    from fastapi import FastAPI

    from bookcls.serving.api import add_api
    from bookcls.serving.page import STYLE

    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # read as the components are made
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_api(app, page.answerer, folder)
    gr.mount_gradio_app(
        app,
        page.build(config.max_waiting),
        path="/",
        allowed_paths=[],
        max_file_size=config.max_bytes,
        theme=gr.themes.Base(font=FONTS, font_mono=("ui-monospace", "monospace")),
        css=STYLE,
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
    )
    bodies = Bodies(
        folder,
        max_bytes=config.max_bytes,
        timeout=config.timeout,
        at_once=config.max_waiting + 1,
    )
    names = LOCAL | {config.host} if is_local(listener) else None
    gate = Gate(app, bodies, folder, names)
    settings = uvicorn.Config(
        gate,
        http=ImpatientProtocol,
        ws="none",
        log_level="warning",
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(settings)


def warning(config: ServeConfig, listener: socket.socket) -> str:
    """A warning about who else can reach the server; empty if nobody can."""
    if is_local(listener):
        return ""
    port = listener.getsockname()[1]
    return (
        f"warning  host={config.host}: anyone who can reach this machine over the network can "
        f"open port {port}, send photos and see those of the run; there is no password, and "
        "nothing is encrypted. host=127.0.0.1 restricts it to this machine."
    )

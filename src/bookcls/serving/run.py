"""Runs the command: serves the model, its page and its REST endpoint behind one gate."""

import asyncio
import socket

import uvicorn

from bookcls.config import full_path
from bookcls.data.held_out import HELD_OUT
from bookcls.predicting.predictor import Predictor
from bookcls.serving.answerer import Answerer
from bookcls.serving.app import make_app
from bookcls.serving.body import Bodies
from bookcls.serving.connections import FairProtocol
from bookcls.serving.gate import Gate
from bookcls.serving.hosts import find_names
from bookcls.serving.page import Page
from bookcls.serving.photos import find_photos
from bookcls.serving.resolve import ResolvedSettings, format_address, is_local
from bookcls.serving.settings import ServeConfig

SMALL = 1000
"""Maximum size of what the page sends besides photos, in bytes."""


def run(config: ServeConfig, resolved: ResolvedSettings) -> None:
    """Serves until it is stopped.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    page = make_page(config, resolved)
    address = format_address(config.host, resolved.listener)
    if warned := warning(config, resolved.listener):
        print(warned)
    print(f"page     {address}")
    print(f"REST     curl --data-binary @photo.jpg {address}/predict")
    print("         Ctrl+C stops it", flush=True)
    try:
        asyncio.run(make_server(config, page).serve(sockets=[resolved.listener]))
    except KeyboardInterrupt:
        print("stopped")
    finally:
        page.answerer.close()


def make_page(config: ServeConfig, resolved: ResolvedSettings) -> Page:
    """Loads the model, finds the run's photos, and prints what will be served.

    Raises:
        BookclsError: For anything that the user can fix.
    """
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
    return Page(answerer, photos, describe_threshold(config, resolved))


def describe_threshold(config: ServeConfig, resolved: ResolvedSettings) -> str:
    """How the threshold was chosen, without the folder, which visitors should not see."""
    threshold = resolved.threshold
    if threshold.class_names is None:
        return ""
    return threshold.why.replace(f" ({full_path('unsure', str(config.unsure)) / HELD_OUT})", "")


def make_server(config: ServeConfig, page: Page) -> uvicorn.Server:
    """Puts the page and the REST address behind the gate.

    Args:
        config: The settings.
        page: The web page.
    """
    bodies = Bodies(
        max_bytes=config.max_bytes, timeout=config.timeout, at_once=config.max_waiting + 1
    )
    limits = {"/predict": config.max_bytes, "/explain": config.max_bytes, "/example": SMALL}
    gate = Gate(make_app(page), bodies, limits, find_names(config.host, config.hosts))
    settings = uvicorn.Config(
        gate,
        http=FairProtocol,
        ws="none",
        lifespan="off",
        # It would print what visitors do wrong; the gate reports errors of ours.
        log_level="critical",
        server_header=False,
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

"""The REST endpoints: POST /predict, GET /health."""

import json
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from bookcls import __version__
from bookcls.errors import BookclsError
from bookcls.serving.answerer import Answerer, TooBusyError

RETRY = {"Retry-After": "5"}


def add_api(app: FastAPI, answerer: Answerer, folder: Path) -> None:
    """Adds the endpoints to the application.

    Args:
        app: The server's application.
        answerer: The model.
        folder: Where a photo is stored while it is classified.
    """

    async def predict(request: Request) -> Response:
        kind = request.headers.get("content-type", "")
        if kind.startswith("multipart/"):
            return as_json(
                415,
                {"error": "send the photo as raw bytes: curl --data-binary @photo.jpg URL"},
            )
        return await run_in_threadpool(answer, await request.body())

    def answer(body: bytes) -> Response:
        path = folder / secrets.token_hex(8)
        try:
            path.write_bytes(body)
            found = answerer.predict(path)
        except TooBusyError as error:
            return as_json(503, {"error": str(error)}, RETRY)
        except BookclsError as error:
            return as_json(500, {"error": str(error)})
        finally:
            path.unlink(missing_ok=True)
        value = asdict(found)
        del value["file"]
        return as_json(400 if found.answer is None else 200, value)

    async def health(_: Request) -> Response:
        predictor = answerer.predictor
        return as_json(
            200,
            {
                "status": "ok",
                "version": __version__,
                "classes": predictor.class_names,
                "unsure_below": predictor.threshold.value,
            },
        )

    app.add_route("/predict", predict, methods=["POST"])
    app.add_route("/health", health, methods=["GET"])


def as_json(status: int, value: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """A json response in plain ASCII, because a class name may not be valid UTF-8."""
    return Response(json.dumps(value), status, headers, media_type="application/json")

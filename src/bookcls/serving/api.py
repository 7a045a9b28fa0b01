"""The REST endpoints: POST /predict, GET /health."""

from dataclasses import asdict

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bookcls import __version__
from bookcls.serving.answerer import Answerer
from bookcls.serving.refusals import RefusedError, as_json


def api_routes(answerer: Answerer) -> list[Route]:
    """The endpoints.

    Args:
        answerer: The model.
    """

    async def predict(request: Request) -> Response:
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise RefusedError(
                415, "send the photo as raw bytes: curl --data-binary @photo.jpg URL"
            )
        found = await run_in_threadpool(answerer.predict, await read_body(request))
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

    return [
        Route("/predict", predict, methods=["POST"]),
        Route("/health", health, methods=["GET"]),
    ]


async def read_body(request: Request) -> bytearray:
    """The body of a request that has passed the gate, without a copy."""
    body: bytearray = (await request.receive())["body"]
    return body

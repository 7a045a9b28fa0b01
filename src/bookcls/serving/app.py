"""The page and the REST endpoints as one application, whose every refusal is json."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bookcls.data.images import ImageError
from bookcls.errors import BookclsError
from bookcls.serving.answerer import TooBusyError
from bookcls.serving.api import api_routes
from bookcls.serving.gate import INTERNAL
from bookcls.serving.page import Page, page_routes
from bookcls.serving.refusals import RETRY, RefusedError, as_json


def make_app(page: Page) -> Starlette:
    """Builds the application.

    Args:
        page: The web page.
    """
    app = Starlette(
        routes=[*api_routes(page.answerer), *page_routes(page)],
        exception_handlers={
            HTTPException: unknown,
            BookclsError: unanswered,
            RefusedError: unanswered,
            Exception: failed,
        },
    )
    app.router.redirect_slashes = False
    return app


def unknown(request: Request, error: Exception) -> Response:
    """The response to an unknown address or method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        method = "POST" if "POST" in allowed else "GET"
        why = f"{request.url.path} accepts {method}, not {request.method}."
        return as_json(405, {"error": why}, {"Allow": allowed})
    return as_json(
        error.status_code, {"error": "not found; the page is at /, predictions are at /predict."}
    )


def unanswered(_: Request, error: Exception) -> Response:
    """The response to a photo that cannot be used, or for which there is no room."""
    if isinstance(error, RefusedError):
        return as_json(error.status, {"error": str(error)})
    if isinstance(error, TooBusyError):
        return as_json(503, {"error": str(error)}, RETRY)
    if isinstance(error, ImageError):
        return as_json(400, {"error": f"This file is {error}."})
    return as_json(500, {"error": str(error)})


def failed(_: Request, __: Exception) -> Response:
    """The response to an error of the server itself; the gate reports the error."""
    return as_json(500, {"error": INTERNAL}, {"Connection": "close"})

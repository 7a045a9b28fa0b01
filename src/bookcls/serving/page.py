"""The web page: a photo input with the prediction next to it."""

from pathlib import Path

from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bookcls.data.images import ImageError
from bookcls.data.samples import Sample
from bookcls.explaining.panels import overlay
from bookcls.pages.templates import template
from bookcls.pages.thumbnails import data_url, embed_photo, load_small
from bookcls.serving.answerer import Answerer, ExplainedPrediction
from bookcls.serving.api import read_body
from bookcls.serving.photos import RunPhotos
from bookcls.serving.refusals import RefusedError

HERE = Path(__file__).parent
"""Where the templates, the style sheet and the script are."""
HTML, CSS, SCRIPT = "text/html", "text/css", "text/javascript"


class Page:
    """The web page and its answers.

    Attributes:
        answerer: The model.
        examples: Test photos that can be read, each with a thumbnail.
        html: The page.
    """

    def __init__(self, answerer: Answerer, photos: RunPhotos, threshold_from: str = "") -> None:
        """Prepares the examples.

        Args:
            answerer: The model.
            photos: Photos to show next to predictions.
            threshold_from: How the threshold was chosen, for visitors of the page.
        """
        self.answerer, self.threshold_from = answerer, threshold_from
        pictures = [(sample, load_small(sample.path)) for sample in photos.tests]
        self.examples = [(sample, image) for sample, image in pictures if image]
        predictor = answerer.predictor
        self.html = render(
            "page",
            name="/".join(predictor.ckpt.resolve().parts[-2:]),
            classes=predictor.class_names,
            examples=[data_url(image) for _, image in self.examples],
            left_out=photos.left_out,
        )

    def answer(self, body: bytes | bytearray) -> str:
        """The answer to a photo as html.

        Raises: as :meth:`Answerer.explain`.
        """
        return self._render(self.answerer.explain(body), None)

    def answer_example(self, index: str) -> str:
        """The answer to a test photo as html.

        Args:
            index: Its place among the examples.

        Raises:
            RefusedError: If there is none.
            BookclsError: As :meth:`Answerer.explain`.
        """
        if not index.isdecimal() or int(index) >= len(self.examples):
            raise RefusedError(404, f"there are {len(self.examples)} test photos, from 0.")
        sample, _ = self.examples[int(index)]
        try:
            body = sample.path.read_bytes()
        except OSError as error:
            raise ImageError("gone") from error
        return self._render(self.answerer.explain(body), sample)

    def _render(self, seen: ExplainedPrediction, sample: Sample | None) -> str:
        predictor, found = self.answerer.predictor, seen.found
        accepted = [predictor.class_names[k] for k in sample.accepted] if sample else []
        overlay_image = None if seen.heat.empty else overlay(seen.photo, seen.heat)
        return render(
            "answer",
            seen=seen,
            found=found,
            threshold=predictor.threshold,
            threshold_from=self.threshold_from,
            bars=sorted(found.probs.items(), key=lambda item: -item[1]),
            label=" or ".join(accepted),
            right=found.answer in accepted,
            photo=data_url(Image.fromarray(seen.photo)),
            overlay=None if overlay_image is None else data_url(Image.fromarray(overlay_image)),
            fit="cover" if predictor.preprocessing.fit == "letterbox" else "fill",
            nearest=[
                (predictor.class_names[n.sample.label], n.similarity, embed_photo(n.sample.path))
                for n in seen.nearest
            ],
        )


def page_routes(page: Page) -> list[Route]:
    """The page, its parts, and where it sends photos to."""
    parts = {
        "/": (page.html, HTML),
        "/page.css": (read("page.css"), CSS),
        "/page.js": (read("page.js"), SCRIPT),
        "/camera.js": (read("camera.js"), SCRIPT),
    }

    async def part(request: Request) -> Response:
        content, kind = parts[request.url.path]
        return Response(content, headers={"Cache-Control": "no-cache"}, media_type=kind)

    async def explain(request: Request) -> Response:
        return uncached(await run_in_threadpool(page.answer, await read_body(request)))

    async def example(request: Request) -> Response:
        index = (await read_body(request)).decode("ascii", "replace")
        return uncached(await run_in_threadpool(page.answer_example, index))

    return [
        *(Route(path, part, methods=["GET"]) for path in parts),
        Route("/explain", explain, methods=["POST"]),
        Route("/example", example, methods=["POST"]),
    ]


def uncached(html: str) -> Response:
    """A response that the browser does not keep."""
    return Response(html, headers={"Cache-Control": "no-store"}, media_type=HTML)


def read(name: str) -> str:
    """A file next to this one."""
    return (HERE / name).read_text(encoding="utf-8")


def render(part: str, /, **values: object) -> str:
    """Renders a part of the page, with escaped values and "?" for anything that is not UTF-8."""
    html = template(HERE / f"{part}.html").render(**values)
    return html.encode("utf-8", "replace").decode("utf-8")

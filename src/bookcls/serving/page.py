"""The web page: a photo input with the prediction next to it."""

from pathlib import Path

import gradio as gr
from PIL import Image

from bookcls.data.samples import Sample
from bookcls.errors import BookclsError
from bookcls.explaining.panels import overlay
from bookcls.pages.templates import template
from bookcls.pages.thumbnails import data_url, embed_photo, load_small
from bookcls.predicting.prediction import Prediction
from bookcls.serving.answerer import Answerer, ExplainedPrediction
from bookcls.serving.photos import RunPhotos
from bookcls.serving.upload import photo_upload

HERE = Path(__file__).parent
"""Where the templates and the style sheet are."""
STYLE = (HERE / "page.css").read_text(encoding="utf-8")
KEPT = 600
"""Seconds that an uploaded photo stays on disk, for the page to show it."""


class Page:
    """The web page and its event handlers.

    Attributes:
        examples: Test photos that can be read, each with a thumbnail.
    """

    def __init__(self, answerer: Answerer, photos: RunPhotos) -> None:
        """Prepares the examples.

        Args:
            answerer: The model.
            photos: Photos to show next to predictions.
        """
        self.answerer, self.left_out = answerer, photos.left_out
        pictures = [(sample, load_small(sample.path)) for sample in photos.tests]
        self.examples = [(sample, image) for sample, image in pictures if image]

    def build(self, max_waiting: int) -> gr.Blocks:
        """Builds the page.

        Args:
            max_waiting: Number of requests that may wait.
        """
        predictor = self.answerer.predictor
        ckpt = predictor.ckpt.resolve()
        head = render("intro", name="/".join(ckpt.parts[-2:]), classes=predictor.class_names)
        foot = render("foot", left_out=self.left_out, minutes=KEPT // 60)
        blocks: gr.Blocks
        with gr.Blocks(title="bookcls", analytics_enabled=False, delete_cache=(60, KEPT)) as blocks:
            gr.HTML(head)
            with gr.Row():
                with gr.Column(elem_classes="side"):
                    photo = photo_upload()
                    gallery = gr.Gallery(
                        [image for _, image in self.examples],
                        label="Or try a test photo", visible=bool(self.examples), columns=4,
                        allow_preview=False, interactive=False, buttons=[], format="jpeg",
                        elem_classes="examples",
                    )  # fmt: skip
                with gr.Column(elem_classes="result"):
                    answer = gr.HTML(render("waiting"))
            gr.HTML(foot)
            photo.input(self.ask, photo, answer, api_visibility="private", scroll_to_output=True)
            gallery.select(
                self.try_example, None, [photo, answer], api_visibility="private",
                scroll_to_output=True,
            )  # fmt: skip
        blocks.queue(max_size=max_waiting, default_concurrency_limit=1, api_open=False)
        return blocks

    def ask(self, path: str | None) -> str:
        """The prediction for an uploaded photo as html; a placeholder if there is no photo."""
        return self._answer(Path(path)) if path else render("waiting")

    def try_example(self, chosen: gr.SelectData) -> tuple[None, str]:
        """Clears the photo input, and returns the prediction for a test photo as html."""
        sample, _ = self.examples[int(chosen.index)]
        return None, self._answer(sample.path, sample)

    def _answer(self, path: Path, sample: Sample | None = None) -> str:
        try:
            seen = self.answerer.explain(path)
        except BookclsError as error:
            return render("answer", seen=None, error=str(error))
        if isinstance(seen, Prediction):
            return render("answer", seen=None, error=f"This file is {seen.error}.")
        return self._render(seen, sample)

    def _render(self, seen: ExplainedPrediction, sample: Sample | None) -> str:
        predictor, found = self.answerer.predictor, seen.found
        accepted = [predictor.class_names[k] for k in sample.accepted] if sample else []
        overlay_image = None if seen.heat.empty else overlay(seen.photo, seen.heat)
        return render(
            "answer",
            seen=seen,
            found=found,
            threshold=predictor.threshold,
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


def render(part: str, /, **values: object) -> str:
    """Renders a part of the page, with escaped values and "?" for anything that is not UTF-8."""
    html = template(HERE / f"{part}.html").render(**values)
    return html.encode("utf-8", "replace").decode("utf-8")

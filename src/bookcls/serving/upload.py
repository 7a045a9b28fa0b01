"""The photo input of the page."""

from pathlib import Path

import gradio as gr
from gradio.data_classes import ImageData


def photo_upload() -> gr.Image:
    """Gradio's image input, restricted to uploaded files and read by our own loader.

    Gradio itself, mounted in another application, would copy any file or address that a request
    names, and would open any kind of image. (Its methods are replaced on the object, since of a
    class of ours it would write an interface into our source.)
    """
    image = gr.Image(
        label="A photo",
        sources=["upload", "webcam", "clipboard"],
        type="filepath",
        height=320,
        buttons=[],
    )
    folder = Path(image.GRADIO_CACHE).resolve()

    async def check(url_or_file_path: str | Path | None) -> str:
        return uploaded(folder, url_or_file_path)

    def path_of(payload: ImageData | None) -> str | None:
        return uploaded(folder, payload.path) if payload else None

    image.async_move_resource_to_block_cache = check  # type: ignore[method-assign]
    image.preprocess = path_of  # type: ignore[method-assign]
    return image


def uploaded(folder: Path, path: str | Path | None) -> str:
    """Returns the path if it is in the upload folder.

    Args:
        folder: Its full path.
        path: What a request names.

    Raises:
        gr.Error: If not.
    """
    try:
        inside = path is not None and Path(path).resolve().is_relative_to(folder)
    except (ValueError, OSError):
        inside = False
    if not inside:
        raise gr.Error("only an uploaded photo can be classified.")
    return str(path)

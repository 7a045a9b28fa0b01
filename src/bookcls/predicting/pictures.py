"""A picture of each photo with what the model looked at, as ``cam`` draws them."""

from pathlib import Path

from bookcls.errors import BookclsError
from bookcls.explaining import panels
from bookcls.explaining.explainer import Explainer
from bookcls.explaining.settings import CamConfig
from bookcls.predicting.predictor import Predictor
from bookcls.samples import Sample
from bookcls.settings import EvaluateTrainer


class Pictures:
    """Draws photos one by one into a folder that mirrors theirs."""

    def __init__(self, folder: Path, predictor: Predictor, accelerator: str) -> None:
        """Takes the model of ``predictor``, without a copy."""
        self.folder = folder
        self.missing: list[str] = []
        config = CamConfig(
            unsure=predictor.threshold.value, road=False, trainer=EvaluateTrainer(accelerator)
        )
        self.explainer = Explainer(predictor.ckpt, predictor.classifier, config)

    def draw(self, path: Path, name: str) -> None:
        """Writes ``<name>.png``; a photo that is gone by now is kept in ``missing``.

        Args:
            path: The photo.
            name: Its path below the folder of photos.
        """
        sample = Sample(path, name, -1, (), "")
        made = f"gradcam at block5_conv3, {self.explainer.size} px"
        try:
            (found,) = self.explainer.explain("images", [sample], None, 1)
            figure = panels.draw(found, self.explainer.class_names, made)
            panels.save(figure, self.folder / f"{name}.png")
        except (BookclsError, OSError) as error:
            self.missing.append(f"{name}: {error}")

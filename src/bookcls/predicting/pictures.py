"""A picture of each photo with what the model looked at, as ``cam`` draws them."""

from dataclasses import replace
from pathlib import Path

from bookcls.data.samples import Sample
from bookcls.errors import BookclsError
from bookcls.explaining import panels
from bookcls.explaining.explain import how
from bookcls.explaining.explainer import Explainer
from bookcls.explaining.numbers import UNSURE
from bookcls.explaining.settings import CamConfig
from bookcls.predicting.prediction import Prediction
from bookcls.predicting.predictor import Predictor
from bookcls.settings import EvaluateTrainer


class Pictures:
    """Draws photos one by one into a folder that mirrors theirs."""

    def __init__(self, folder: Path, predictor: Predictor, accelerator: str) -> None:
        """Takes the model of ``predictor``, without a copy."""
        self.folder, self.rotations = folder, predictor.rotations
        self.missing: list[str] = []
        self.threshold = predictor.threshold.value
        config = CamConfig(road=False, trainer=EvaluateTrainer(accelerator))
        self.explainer = Explainer(predictor.ckpt, predictor.classifier, config)

    def draw(self, path: Path, answered: Prediction) -> None:
        """Writes ``<name>.png``; of a photo that is gone by now the name is kept in ``missing``.

        Args:
            path: The photo.
            answered: What the table says of it; its ``file`` is the name.
        """
        sample = Sample(path, answered.file, -1, (), "")
        made = how(self.explainer)
        if self.rotations > 1:
            made += (
                f"; over {self.rotations} rotations the answer is {answered.answer} "
                f"{answered.probability:.2f}"
            )
        try:
            (found,) = self.explainer.explain("images", [sample], None, 1, audit=False)
            found = replace(found, flag="", reason="no label")
            if answered.unsure:  # As in the table, where rotations count too.
                reason = f"probability {answered.probability:.2f} is below {self.threshold:g}"
                found = replace(found, flag=UNSURE, reason=reason)
            figure = panels.draw(found, self.explainer.class_names, made)
            panels.save(figure, self.folder / f"{answered.file}.png")
        except (BookclsError, OSError) as error:
            self.missing.append(f"{answered.file}: {error}")

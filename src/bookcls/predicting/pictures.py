"""Draws what the model looked at in each photo, as ``cam`` does."""

from dataclasses import replace
from pathlib import Path

from bookcls.data.leavings import PICTURES
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError
from bookcls.explaining import panels
from bookcls.explaining.explain import describe_maps
from bookcls.explaining.explainer import Explainer
from bookcls.explaining.map_scores import UNSURE
from bookcls.explaining.settings import CamConfig
from bookcls.predicting.prediction import Prediction
from bookcls.predicting.predictor import Predictor
from bookcls.settings import EvaluateTrainer


class Pictures:
    """Draws photos one by one into a folder that mirrors theirs."""

    def __init__(self, folder: Path, predictor: Predictor, accelerator: str) -> None:
        """Uses the model of ``predictor``, without a copy."""
        self.folder, self.rotations = folder, predictor.rotations
        if not folder.exists():  # The user's own folder may contain photos.
            folder.mkdir(parents=True)
            (folder / PICTURES).touch()
        self.missing: list[str] = []
        self.threshold = predictor.threshold.value
        config = CamConfig(road=False, trainer=EvaluateTrainer(accelerator))
        self.explainer = Explainer(predictor.ckpt, predictor.classifier, config)

    def draw(self, path: Path, prediction: Prediction) -> None:
        """Writes ``<name>.png``; if the photo no longer exists, adds its name to ``missing``.

        Args:
            path: The photo.
            prediction: Its prediction; ``file`` is the name.
        """
        sample = Sample(path, prediction.file, -1, (), "")
        made = describe_maps(self.explainer)
        if self.rotations > 1:
            made += (
                f"; over {self.rotations} rotations the answer is {prediction.answer} "
                f"{prediction.probability:.2f}"
            )
        try:
            (explained,) = self.explainer.explain("images", [sample], None, 1, audit=False)
            explained = replace(explained, flag="", reason="no label")
            if prediction.unsure:  # As in the table, which averages over rotations.
                reason = f"probability {prediction.probability:.2f} is below {self.threshold:g}"
                explained = replace(explained, flag=UNSURE, reason=reason)
            figure = panels.draw(explained, self.explainer.class_names, made)
            panels.save(figure, self.folder / f"{prediction.file}.png")
        except (BookclsError, OSError) as error:
            self.missing.append(f"{prediction.file}: {error}")

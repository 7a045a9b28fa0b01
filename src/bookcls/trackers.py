"""Where losses and accuracy per epoch are recorded: csv always, TensorBoard or MLflow besides."""

from importlib.util import find_spec
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger

from bookcls.errors import BookclsError
from bookcls.settings import LoggerConfig

SQLITE = "sqlite:///"


def make_loggers(config: LoggerConfig, run: Path) -> list[Logger]:
    """The loggers of one run.

    Args:
        config: Which one besides csv, and where MLflow stores.
        run: The run folder; csv goes to ``logs/``, TensorBoard's events to ``tensorboard/``.

    Raises:
        BookclsError: If the package of an extra is not installed.
    """
    if config.kind != "csv" and find_spec(config.kind) is None:
        raise BookclsError(
            f"logger={config.kind} needs a package that is not installed: "
            f"pip install 'bookcls[{config.kind}]', or leave it out (csv is always written)."
        )
    loggers: list[Logger] = [CSVLogger(run, name="logs")]
    if config.kind == "tensorboard":
        loggers.append(TensorBoardLogger(run, name="tensorboard", version=""))
    if config.kind == "mlflow":
        database = Path(config.tracking_uri.removeprefix(SQLITE))
        if config.tracking_uri.startswith(SQLITE):
            database.parent.mkdir(parents=True, exist_ok=True)
        name = f"{run.parent.name}/{run.name}"
        loggers.append(MLFlowLogger("bookcls", run_name=name, tracking_uri=config.tracking_uri))
    return loggers

"""Where losses and accuracy per epoch are recorded: csv always, TensorBoard or MLflow besides."""

from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock
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
        BookclsError: If the package of an extra is not installed, or MLflow cannot store there.
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
        loggers.append(make_mlflow(config.tracking_uri, f"{run.parent.name}/{run.name}"))
    return loggers


def make_mlflow(uri: str, name: str) -> Logger:
    """MLflow's logger of one run, begun.

    Args:
        uri: Where it stores.
        name: The run's.

    Raises:
        BookclsError: If it cannot store there.
    """
    lock: FileLock | nullcontext[None] = nullcontext()
    if uri.startswith(SQLITE):
        database = Path(uri.removeprefix(SQLITE))
        database.parent.mkdir(parents=True, exist_ok=True)
        # Parallel jobs would create the tables and the experiment twice.
        lock = FileLock(database.with_name(f".{database.name}.lock"))
    try:
        with lock:
            logger = MLFlowLogger("bookcls", run_name=name, tracking_uri=uri)
            _ = logger.experiment  # connects; else the first epoch would
    except Exception as error:  # MLflow's own, its database's, its server's
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise BookclsError(
            f"logger.tracking_uri={uri}: {said}. Give {SQLITE}FILE or a server that answers, or "
            "leave logger=mlflow out (csv is always written)."
        ) from error
    return logger

"""Loggers for losses and accuracy per epoch: csv always, TensorBoard or MLflow if selected."""

from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger

from bookcls.errors import BookclsError
from bookcls.settings import LoggerConfig

SQLITE = "sqlite:///"


def make_loggers(config: LoggerConfig, run: Path) -> list[Logger]:
    """Creates the loggers of a run.

    Args:
        config: Which logger in addition to csv, and where MLflow stores its data.
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
    """Creates the MLflow logger of a run and connects to its store.

    Args:
        uri: The tracking URI.
        name: Name of the run.

    Raises:
        BookclsError: If MLflow cannot store anything there.
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
            _ = logger.experiment  # connects now, not in the first epoch
    except Exception as error:  # from MLflow, its database or its server
        message = str(error).strip().partition("\n")[0] or type(error).__name__
        raise BookclsError(
            f"logger.tracking_uri={uri}: {message}. Give {SQLITE}FILE or a reachable server, or "
            "leave logger=mlflow out (csv is always written)."
        ) from error
    return logger

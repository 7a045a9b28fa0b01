"""From typed settings to a finished run: batches, the LightningModule, trainer and tests."""

__all__ = [
    "baseline",
    "checkpoint",
    "classifier",
    "console",
    "datamodule",
    "devices",
    "divergence",
    "ensemble",
    "fitting",
    "hparams",
    "inputs",
    "interruptions",
    "loss",
    "optimizer",
    "recipe",
    "run",
    "schedule",
    "testing",
]

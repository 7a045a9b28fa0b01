"""From typed settings to a finished run: batches, the LightningModule, trainer and tests."""

__all__ = [
    "classifier",
    "console",
    "datamodule",
    "devices",
    "ensemble",
    "fitting",
    "inputs",
    "precision",
    "recipe",
    "run",
    "schedule",
    "testing",
]

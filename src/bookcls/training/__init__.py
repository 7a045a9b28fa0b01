"""From typed settings to a finished run: batches, the LightningModule, trainer and tests."""

__all__ = [
    "baseline",
    "classifier",
    "console",
    "datamodule",
    "devices",
    "ensemble",
    "fitting",
    "inputs",
    "interruptions",
    "recipe",
    "run",
    "schedule",
    "testing",
]

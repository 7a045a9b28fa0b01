"""What the model looked at: maps, the numbers that judge them, audits, and figures."""

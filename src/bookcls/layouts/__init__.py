"""From photos as they lie to the layout that training reads."""

__all__ = ["adopt", "settings"]

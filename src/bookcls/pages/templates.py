"""Loads the templates and the style sheet of the self-contained pages."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

STYLE = Path(__file__).parent / "page.css"


def template(path: Path) -> Template:
    """Loads a template that escapes every value and raises on a missing one."""
    environment = Environment(
        loader=FileSystemLoader(path.parent, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(path.name)


def style() -> Markup:
    """Reads the shared style sheet, for embedding in a page."""
    return Markup(STYLE.read_text(encoding="utf-8"))

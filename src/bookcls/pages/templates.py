"""What the self-contained pages share: how a template is read, and their style."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

STYLE = Path(__file__).parent / "page.css"


def template(path: Path) -> Template:
    """A template that escapes every value and refuses a missing one."""
    environment = Environment(
        loader=FileSystemLoader(path.parent, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(path.name)


def style() -> Markup:
    """The style sheet, to stand in a page."""
    return Markup(STYLE.read_text(encoding="utf-8"))

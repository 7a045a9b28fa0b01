"""``python -m bookcls.report``: summarises a folder of runs in tables, plots and one page."""

from pathlib import Path

from bookcls import command
from bookcls.config import full_path
from bookcls.errors import BookclsError
from bookcls.reporting.collect import find_runs
from bookcls.reporting.photos import PhotoFolders
from bookcls.reporting.settings import ReportConfig
from bookcls.storage.files import write_text
from bookcls.storage.folders import refuse_links


def report(config: ReportConfig, _: Path) -> None:
    """Writes results.csv, results.md, plots and report.html, and prints the tables.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    root = full_path("runs", config.runs)
    output = full_path("output", config.output) if config.output else root / "report"
    if not config.output:
        refuse_links(output, root)
    if output.exists() and not output.is_dir():
        raise BookclsError(f"output={output} is a file: give a folder.")
    folders = PhotoFolders(config.data.root)
    collection = find_runs(root)

    # Imported only once there are runs to report: these imports take a second.
    from rich.console import Console

    from bookcls.reporting import markdown, page, plots, tables
    from bookcls.reporting.cells import make_cells
    from bookcls.reporting.summary import summarise

    cells = make_cells(collection.runs)
    table = summarise(cells)
    console = Console(highlight=False)
    tables.print_tables(table, console)
    for line in [*tables.footnotes(table), *tables.describe_runs(collection, cells)]:
        console.print(line, markup=False)
    write_text(output / "results.csv", tables.to_csv(table))
    write_text(output / "results.md", markdown.to_markdown(collection, cells, table))
    drawn = plots.draw_all(cells, table, output)
    html = page.render(collection, cells, table, drawn, folders)
    for line in folders.describe():
        console.print(line, markup=False)
    write_text(output / "report.html", html)
    print(f"report  {output / 'report.html'}")


def main() -> None:
    """Runs the command with the arguments of this process."""
    command.verb("report", ReportConfig, report)


if __name__ == "__main__":
    main()

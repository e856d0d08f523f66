"""``denchi report``: a session as HTML, PDF or JSON, and its label."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from denchi.cli.common import common_options, default_data_dir, sigterm_interrupts, talk


@click.command()
@click.argument("session_id")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), default=None)
@click.option("--format", "form", type=click.Choice(["html", "pdf", "json"]), default=None)
@click.option(
    "--lang", type=click.Choice(["en", "ja"]), default=None, help="Default: the environment's."
)
@click.option(
    "--paper",
    type=click.Choice(["a4", "letter"]),
    default="a4",
    help="Paper of a PDF (default: a4).",
)
@click.option("--label", is_flag=True, help="The 62 mm label instead of the report.")
@common_options
def report(
    session_id: str,
    output: Path | None,
    form: str | None,
    lang: str | None,
    paper: str,
    label: bool,
    data_dir: Path | None,
    config: Path | None,
) -> int:
    """A session's report, for print. Exit 3 stop_using, 4 caution, 5 inconclusive, else 0."""
    from denchi.daemon.offline import reading_client
    from denchi.errors import OutputError, UsageError
    from denchi.i18n import language
    from denchi.model import Verdict
    from denchi_dashboards.reports import html
    from denchi_dashboards.reports.data import collect

    sigterm_interrupts()
    form = form or (output.suffix.lstrip(".").lower() if output and output.suffix else "html")
    if form not in ("html", "pdf", "json"):
        raise UsageError(f"cannot write a report as {form!r}", cure="--format html, pdf or json")
    if form == "pdf" and output is None:
        raise UsageError("a PDF needs a file", cure="-o unit.pdf")
    client = reading_client(data_dir or default_data_dir())
    try:
        data = collect(client, session_id)
    finally:
        client.close()
    chosen = lang or language()
    if form == "json":
        text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
    else:
        text = (html.render_label if label else html.render)(data, chosen)
    if form == "pdf":
        from denchi_dashboards.reports.pdf import on_paper, to_pdf

        assert output is not None
        to_pdf(text if label else on_paper(text, paper), output)
    elif output is None:
        sys.stdout.write(text)
    else:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{output}: {error.strerror}", cure="choose another file") from None
    if output is not None:
        talk(f"wrote {output}")
    word = (data["verdict"] or {}).get("verdict")
    verdicts = {v.word: v for v in Verdict}
    return verdicts.get(word or "", Verdict.INCONCLUSIVE).exit_code

"""The generated documents: commands and options from click, settings from `settingtable.py`.

``make docs`` writes docs/reference.md and example.env; a test fails when they are out of date.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from harvesters.cli.main import cli
from harvesters.insights.answers import INSIGHTS
from harvesters.settingtable import SETTINGS, Setting

ROOT = Path(__file__).resolve().parent.parent.parent
INSIGHTS_PAGE = ROOT / "docs" / "insights.md"


def commands(command: click.Command, path: str = "harvest.py") -> Iterator[tuple[str, click.Command]]:
    """Every command below `command`, with the words that call it."""
    context = click.Context(command, info_name=path, **cli.context_settings)
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None:
            yield from commands(found, f"{path} {name}")


def options_reference() -> str:
    """Each command with its first line of help and a table of its options."""
    parts = [_table("harvest.py", cli, "Before any command:")]
    for path, command in commands(cli):
        parts.append(_table(path, command, (command.help or "").split("\n\n")[0].strip()))
    return "\n".join(parts)


def _table(path: str, command: click.Command, text: str) -> str:
    lines = [f"#### `{path}`", "", text, ""]
    context = click.Context(command, info_name=path, **cli.context_settings)
    records = [
        parameter.get_help_record(context) for parameter in command.params if isinstance(parameter, click.Option)
    ]
    if records:
        lines += ["| option | meaning |", "|---|---|"]
        for record in records:
            if record is not None:
                name, meaning = (part.replace("|", "\\|").replace("\n", " ") for part in record)
                lines.append(f"| `{name}` | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def settings_reference() -> str:
    """The table of all settings."""
    lines = ["| setting | meaning | without it |", "|---|---|---|"]
    for setting in SETTINGS:
        without = f"`{setting.default}`" if setting.default else ""
        without = "; ".join(part for part in (without, setting.without) if part)
        lines.append(f"| `{setting.name}` | {setting.help} | {without} |")
    lines.append("| `AWS_*`, `AWS_ENDPOINT_URL*` | boto3's own: credentials, region, endpoints. | boto3's defaults |")
    lines.append("| `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_*` | OpenTelemetry's own (telemetry.md). | nothing is sent |")
    return "\n".join(lines) + "\n"


def example_env() -> str:
    """A `.env` with every setting and a comment for each."""
    lines = [
        "# Copy this file to .env and fill in what you use. A flag wins over the environment, the environment over",
        "# .env, and an empty value counts as unset. What has a value here is the default.",
    ]
    section = ""
    for setting in SETTINGS:
        if setting.section != section:
            section = setting.section
            lines += ["", f"# --- {section} ".ljust(79, "-")]
        lines += ["", *_comment(setting), f"{setting.name}={setting.default}"]
    lines += [
        "",
        "# --- AWS (boto3's own settings) ".ljust(79, "-"),
        "",
        "# Credentials and region; on EC2 and the like leave them to the instance's role.",
        "AWS_DEFAULT_REGION=",
        "AWS_ACCESS_KEY_ID=",
        "AWS_SECRET_ACCESS_KEY=",
        "# Another endpoint than AWS's, such as a local stand-in.",
        "AWS_ENDPOINT_URL=",
        "",
        "# --- OpenTelemetry (its own settings) ".ljust(79, "-"),
        "",
        "# Where its collector takes OTLP over HTTP, for spans and metrics of runs. Example: http://localhost:4318",
        "OTEL_EXPORTER_OTLP_ENDPOINT=",
    ]
    return "\n".join(lines) + "\n"


def _comment(setting: Setting) -> Iterator[str]:
    from textwrap import wrap

    text = setting.help
    if setting.without:
        text += f" Without it: {setting.without}."
    if setting.example:
        text += f" Example: {setting.example}"
    yield from (f"# {line}" for line in wrap(text, 100))


def reference() -> str:
    """The whole of docs/reference.md."""
    return f"""# Reference

Every command, option and setting. Written by `make docs` from the program itself; do not edit it.

## Commands and options

Any option and command works with hyphens for underscores and the other way round (`--engage_host`, `--engage-host`).
`./harvest.py completion bash` prints the shell completion.

{options_reference()}
## Settings

From `.env` beside `harvest.py` (or `--env-file`); the process environment wins over it, a flag wins over both, and an
empty value counts as unset. `example.env` has them all with their comments.

{settings_reference()}"""


def answers_reference() -> str:
    """docs/insights.md with the definitions of the answers as they say them themselves."""
    begin, end = "<!-- answers: begin (written by `make docs`) -->", "<!-- answers: end -->"
    before, _, rest = INSIGHTS_PAGE.read_text().partition(begin)
    parts = [f"### `{insight.name}`\n\n{insight.text}\n\n{_lines(insight.definition)}" for insight in INSIGHTS.values()]
    return f"{before}{begin}\n\n" + "\n\n".join(parts) + f"\n\n{end}{rest.partition(end)[2]}"


def _lines(text: str) -> str:
    from textwrap import fill

    return fill(text, 120, break_long_words=False, break_on_hyphens=False)


def main() -> None:
    """Write the generated documents."""
    INSIGHTS_PAGE.write_text(answers_reference())
    (ROOT / "docs" / "reference.md").write_text(reference())
    (ROOT / "example.env").write_text(example_env())


if __name__ == "__main__":
    main()

"""``harvest.py doctor``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from harvesters.cli.runtime import settings_of
from harvesters.cli.status import job_argument
from harvesters.errors import ConfigError, Exit
from harvesters.operate.jobs import BY_NAME
from harvesters.privacy import redact

if TYPE_CHECKING:
    from harvesters.operate.doctor.check import Probe


@click.command(short_help="Check settings, credentials and servers; changes nothing.")
@job_argument
@click.option("--json", "as_json", is_flag=True, help="As one JSON array.")
def doctor(jobs: tuple[str, ...], as_json: bool) -> int:
    """Check what the JOBs need, or without JOB what the settings name: each check with its remedy, within 20 seconds.

    Changes nothing but one object beside a checkpoint, CHECKPOINT.doctor-…, which is written and removed. The exit code
    is the first of 78 (settings, clocks), 77 (credentials), 76 (protocol) and 69 (does not answer) that a check fails
    with; a warning is none.

    \b
    Examples:
      harvest.py doctor
      harvest.py doctor useractions index --json
    """
    from harvesters.operate.doctor.examine import examine, exit_code

    checks = examine(settings_of(), [BY_NAME[name] for name in dict.fromkeys(jobs)], [_keys()])
    lines = [{name: redact(text) for name, text in check.line().items()} for check in checks]
    if as_json:
        click.echo(json.dumps(lines))
    else:
        for line in lines:
            click.echo(f"{line['status']:<5}{line['check']:<25}{line['detail']}")
            if line["remedy"] and line["status"] != "ok":
                click.echo(f"{'':<30}{line['remedy']}")
    return exit_code(checks)


def _keys() -> Probe:
    """Whether the keys of `serve` can be read."""
    from harvesters.operate.doctor.check import Examination, Probe
    from harvesters.web.keys import SETTING, read_keys
    from harvesters.web.parts import PARTS

    def look(about: Examination) -> None:
        try:
            read_keys(about.settings.get(SETTING), PARTS)
        except ConfigError as error:
            about.fail("keys", error, "Write NAME:SECRET, or NAME:SECRET:PART+PART.", Exit.CONFIG)
        else:
            about.ok("keys", f"{SETTING} can be read")

    return Probe(("keys",), lambda about: about.settings.given(SETTING), look)

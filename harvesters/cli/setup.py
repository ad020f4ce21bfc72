"""``harvest.py setup``: what the cluster needs before and beside the harvests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harvesters.cli.main import LazyGroup
from harvesters.cli.runtime import running, setting_option
from harvesters.cli.streams import say
from harvesters.errors import ConfigError, HarvestError, ProtocolError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harvesters.elastic.client import SearchClient
    from harvesters.search.templates import Template

MIGRATE = ("harvesters.cli.migrate", "migrate", "Bring older indices into today's form.")


class DaysType(click.ParamType):  # type: ignore[type-arg]
    """A number of days, as ``400d`` or ``400``."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([0-9]{1,6})d?", str(value).strip())
        if found is None or not int(found[1]):
            self.fail(f"{value!r} is no number of days, such as 400d", param, ctx)
        return int(found[1])


@click.group(
    cls=LazyGroup, table={"migrate": MIGRATE}, short_help="Prepare Elasticsearch: templates, migrations, retention."
)
def setup() -> None:
    """Prepare Elasticsearch: index templates, migrations of older indices, retention."""


@setup.command("load_index_templates")
@setting_option("-e", "--es-host", setting="ES_HOST")
@click.option("--dry-run", is_flag=True, help="Show what would change, value by value, and change nothing.")
@click.option(
    "--retention",
    "retention_days",
    type=DaysType(),
    metavar="DAYS",
    help="Where the cluster has ILM or ISM: have it delete dated indices this long after they were made, as 400d.",
)
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Directory of templates, instead of index_templates.",
)
def load_index_templates(dry_run: bool, retention_days: int | None, directory: Path | None) -> None:
    """Load the index templates, and say what changed; those of Firebase for FIREBASE_INDEX_PREFIX.

    May be run again at any time. A template that is older than the cluster's is left out, and the command ends with 78;
    one that the cluster refuses is named, and it ends with 76. The others are loaded.

    \b
    Examples:
      harvest.py setup load_index_templates --dry-run
      harvest.py setup load_index_templates --retention 400d
    """
    from harvesters.firebase.indices import with_prefix
    from harvesters.search import ilm, ism, retention, templates

    found = templates.read(directory)
    with running() as assembly:
        found = with_prefix(found, assembly.settings.get("FIREBASE_INDEX_PREFIX"))
        client = assembly.search()
        try:
            has_ism = ism.has_ism(client, wanted=retention_days is not None)
            if has_ism:
                say(ism.put_policy(client, found, retention_days, dry_run))
            elif ilm.has_ilm(client, wanted=retention_days is not None):
                say(ilm.put_policy(client, retention_days, dry_run))
                governed = ilm.under_policy(client, found)
                if governed == found:
                    say(f"{client.name} does not know index.lifecycle.name: no template is under the policy")
                found = governed
            else:
                name = "ILM" if "flattened" in client.cluster.features else "ISM"
                say(f"{client.name} has no {name}: remove old indices with setup prune --older-than 400d")
            left = [(each.name, _load(client, each, dry_run)) for each in found]
            if has_ism and retention_days is not None and not dry_run:
                ours = retention.dated_indices(client, found, assembly.settings.names("HARVEST_STACKS"))
                say(f"ISM policy {ilm.POLICY}: added to {ism.add_policy(client, [each.name for each in ours])} indices")
        finally:
            client.close()
    _judge(client, {name: error for name, error in left if error is not None})


def _judge(client: SearchClient, left: Mapping[str, HarvestError]) -> None:
    """Say which templates were not loaded, and why."""
    if not left:
        return
    older = [name for name, error in left.items() if isinstance(error, ConfigError)]
    refused = [f"{name}: {error}" for name, error in left.items() if not isinstance(error, ConfigError)]
    told = []
    if older:
        told.append(
            f"left out, for {client.name} has newer versions: {', '.join(older)}. Update harvest.py here, or delete "
            "the cluster's template if it is not wanted."
        )
    if refused:
        told.append(f"{client.name} refused {len(refused)} templates: {'; '.join(refused)}. The others are loaded.")
    raise (ConfigError if older else ProtocolError)(" ".join(told))


def _load(client: SearchClient, template: Template, dry_run: bool) -> HarvestError | None:
    """Load one template; returns why it was not."""
    from harvesters.elastic.errors import Refused, root_reason
    from harvesters.search import templates
    from harvesters.search.templates import Verdict

    found = templates.compare(client, template)
    if found.verdict is Verdict.OLDER:
        say(f"{template.name}: left out, version {template.version} is older than the cluster's {found.theirs}")
        return ConfigError("older")
    if not dry_run and found.verdict is not Verdict.SAME:
        try:
            templates.put(client, template)
        except Refused as error:
            why = root_reason(error.body)
            say(f"{template.name}: refused: {why}")
            return ProtocolError(why)
    versions = f"version {template.version}"
    if found.verdict is Verdict.CHANGED and found.theirs != template.version:
        versions += f", was {found.theirs or 'without one'}"
    would = "would be " if dry_run and found.verdict is not Verdict.SAME else ""
    say(f"{template.name}: {would}{found.verdict} ({versions})")
    for line in found.diff if dry_run or found.verdict is Verdict.CHANGED else ():
        say(f"  {line}")
    return None


@setup.command("prune")
@setting_option("-e", "--es-host", setting="ES_HOST")
@click.option(
    "--older-than", type=DaysType(), required=True, metavar="DAYS", help="Whole UTC days that are kept before today."
)
@click.option("--dry-run", is_flag=True, help="Name the indices, and remove none.")
@click.option("--messages", is_flag=True, help="Those of the message service too: messages, analytics and logs.")
def prune(older_than: int, dry_run: bool, messages: bool) -> None:
    """Remove our dated indices (useractions-YYYY.MM.DD and the like) by the UTC date in their name.

    Never one without a date, nor one that is not ours. Of useractions-STACK-YYYY.MM.DD those are ours whose stack is
    named in HARVEST_STACKS. What is left although its name holds an older date is named, with the reason. What the
    cluster does not let go of does not keep the others, and ends the command with 69. Messages, analytics and logs of
    the message service stay unless --messages says so.

    \b
    Examples:
      harvest.py setup prune --older-than 400d --dry-run
      harvest.py setup prune --older-than 3650d --messages
    """
    from harvesters.messages import dated
    from harvesters.search import retention, templates

    with running() as assembly:
        client = assembly.search()
        try:
            stacks, now = assembly.settings.names("HARVEST_STACKS"), assembly.clock.now()
            indices = retention.dated_indices(client, templates.read(), stacks)
            left = retention.left_alone(client, templates.read(), stacks)
            if messages:
                indices += dated.dated_indices(client)
                left += dated.left_alone(client)
            old = retention.older_than(indices, older_than, now)
            stay: dict[str, str] = {}
            for index in old:
                behind = f" (behind {index.logical})" if index.logical != index.name else ""
                why = "" if dry_run else retention.remove(client, index)
                if why:
                    stay[index.name] = why
                say(f"{'would remove' if dry_run else 'not removed:' if why else 'removed'} {index.name}{behind}")
            for each in left:
                if each.oldest < retention.first_kept(older_than, now):
                    say(f"left {each.name}: {each.why}")
            gone = len(old) - len(stay)
            say(f"{gone} of {len(indices)} dated indices {'would go' if dry_run else 'are gone'}")
        finally:
            client.close()
        if stay:
            reasons = "; ".join(f"{name}: {why}" for name, why in stay.items())
            raise Unavailable(f"{len(stay)} indices were not removed: {reasons}. Run again when nothing holds them.")

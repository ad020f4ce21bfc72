"""The cluster, and the templates in it."""

from __future__ import annotations

from contextlib import closing

from harvesters.errors import HarvestError
from harvesters.firebase.indices import with_prefix
from harvesters.operate.doctor.check import Examination
from harvesters.search import ilm, templates
from harvesters.search.description import describe
from harvesters.search.templates import Verdict

_LOAD = "Run `harvest.py setup load_index_templates`."


def elasticsearch(about: Examination) -> None:
    """It answers, and has our templates."""
    try:
        with closing(about.assembly.search()) as client:
            about.ok("elasticsearch", describe(client))
            ours = with_prefix(templates.read(), about.settings.get("FIREBASE_INDEX_PREFIX"))
            if ilm.has_ilm(client):
                ours = ilm.under_policy(client, ours)
            verdicts = {each.name: templates.compare(client, each).verdict for each in ours}
    except HarvestError as error:
        met = any(check.check == "elasticsearch" for check in about.found)
        about.fail("elasticsearch.templates" if met else "elasticsearch", error, "Check ES_HOST and ES_* credentials.")
        return
    missing = [name for name, verdict in verdicts.items() if verdict is Verdict.NEW]
    old = [name for name, verdict in verdicts.items() if verdict is Verdict.CHANGED]
    newer = [name for name, verdict in verdicts.items() if verdict is Verdict.OLDER]
    if missing:
        about.fail("elasticsearch.templates", f"missing: {', '.join(missing)}", _LOAD)
    if old:
        about.warn("elasticsearch.templates", f"not as ours: {', '.join(old)}", _LOAD)
    if newer:
        about.warn("elasticsearch.templates", f"newer than ours: {', '.join(newer)}", "Update harvest.py here.")
    if not (missing or old or newer):
        about.ok("elasticsearch.templates", f"all {len(verdicts)} are there")

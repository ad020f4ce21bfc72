"""Where rows come from: each is asked for next to nothing."""

from __future__ import annotations

from contextlib import closing

from harvesters.errors import ConfigError, CredentialsRefused, Exit, HarvestError, ProtocolError
from harvesters.opencast import dialect
from harvesters.opencast.client import OpencastClient
from harvesters.opencast.dialect import Dialect
from harvesters.opencast.jettison import as_dict
from harvesters.opencast.run import open_client
from harvesters.opencast.witness import Contradicted, Witness
from harvesters.operate.doctor.check import Examination
from harvesters.stores.cache import MemoryCache

_ENGAGE, _ADMIN = "MATTERHORN_ENGAGE_HOST", "MATTERHORN_ADMIN_HOST"
_USER = "Check MATTERHORN_REST_USER, MATTERHORN_REST_PASS and OPENCAST_AUTH."
_NODE = "Check that MATTERHORN_ENGAGE_HOST is the presentation node, and that it runs."
_PLUGIN = "Switch usertracking on there, and let nothing between change the query."


def opencast(about: Examination) -> None:
    """The engage node answers, lets us in, honours what it is asked, and lives in the zone that we think."""
    with closing(open_client(about.assembly, _ENGAGE)) as client:
        _examine(about, client)
        about.clock("opencast", client.time())


def opencast_admin(about: Examination) -> None:
    """The admin node answers, and lets us in."""
    with closing(open_client(about.assembly, _ADMIN)) as client:
        try:
            user = as_dict(as_dict(client.get("/info/me.json")).get("user")).get("username")
        except CredentialsRefused as error:
            about.fail("opencast.login", error, _USER, Exit.CREDENTIALS)
        except HarvestError as error:
            about.fail("opencast", error, "Check that MATTERHORN_ADMIN_HOST is the admin node, and that it runs.")
        else:
            about.ok("opencast", f"{client.base_url} (admin) answers")
            if user in (None, "anonymous"):
                about.fail("opencast.login", f"{client.base_url} takes us for anybody", _USER, Exit.CREDENTIALS)


def zoom(about: Examination) -> None:
    """Zoom gives us a token."""
    from harvesters.zoom.run import open_client as open_zoom

    client, account = open_zoom(about.assembly, 0.0)
    with closing(client):
        try:
            client.auth.token()
            theirs = client.auth.time()
        except HarvestError as error:
            about.fail("zoom", error, "Check ZOOM_* and that the app is activated for this account.")
            return
    about.ok("zoom", f"account {account} has a token")
    about.clock("zoom", theirs)


def firebase(about: Examination) -> None:
    """The database answers, and lets us read."""
    from harvesters.firebase.parts import open_client as open_database

    try:
        with closing(open_database(about.assembly)) as client:
            client.keys(("events", "harvest-doctor"))
            about.ok("firebase", f"{client.base_url} answers")
            about.clock("firebase", client.clock.now())
    except HarvestError as error:
        about.fail("firebase", error, "Check FIREBASE_ENDPOINT, and FIREBASE_KEY or FIREBASE_CREDENTIALS.")


def _examine(about: Examination, client: OpencastClient) -> None:
    zone = about.settings.timezone("OPENCAST_TIMEZONE")
    try:
        client.actions(limit=1, offset=0)
        about.ok("opencast", f"{client.base_url} answers")
        about.ok("opencast.login", f"{about.settings.get('MATTERHORN_REST_USER')} may read user actions")
        spoken = dialect.probe(client, MemoryCache(), Witness(client.base_url, zone))
    except CredentialsRefused as error:
        about.fail("opencast.login", error, _USER, Exit.CREDENTIALS)
    except (ProtocolError, Contradicted) as error:
        about.fail("opencast.usertracking", error, _PLUGIN, Exit.PROTOCOL)
    except ConfigError as error:
        if not about.found:  # it redirects
            about.fail("opencast", error, _NODE, Exit.CONFIG)
            return
        about.fail("opencast.timezone", error, "Set OPENCAST_TIMEZONE to the server's.", Exit.CONFIG)
    except HarvestError as error:
        about.fail("opencast", error, _NODE)
    else:
        if spoken is Dialect.EMPTY:
            about.warn("opencast.usertracking", "the table is empty, which tells no dialect", "Look again later.")
            return
        about.ok("opencast.usertracking", f"the dialect is {spoken.value}")
        about.ok("opencast.timezone", f"{zone.key} is the server's")

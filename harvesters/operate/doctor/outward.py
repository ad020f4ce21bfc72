"""Who is told of runs: the server of pings, and the file of metrics. Nothing is sent, and nothing written."""

from __future__ import annotations

import os
import socket
import ssl
from urllib.parse import urlsplit

from harvesters.errors import BadInput, ConfigError
from harvesters.operate.doctor.check import TIMEOUT, Examination

_ADDRESS = "Check HARVEST_PING_URL, the network, and a proxy between (HTTPS_PROXY)."
_FILE = "Name a file that ends in .prom, in a directory that this user may write, in HARVEST_METRICS_FILE."


def ping(about: Examination) -> None:
    """The server takes connections. Whether it knows the check, only a ping could tell."""
    from requests import Session
    from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy

    from harvesters.operate.ping import PingUrl

    try:
        url = PingUrl.of(about.settings, about.jobs[0].name if about.jobs else "job")
        with Session() as session:
            told = session.merge_environment_settings(url.ping("", ""), {}, False, None, None)
        proxy = select_proxy(url.ping("", ""), told["proxies"])
        where = urlsplit(proxy) if proxy else url.parts
        port = where.port or (443 if where.scheme == "https" else 80)
        with socket.create_connection((str(where.hostname), port), TIMEOUT) as connection:
            if where.scheme == "https":
                ca = told["verify"] if isinstance(told["verify"], str) else DEFAULT_CA_BUNDLE_PATH
                context = ssl.create_default_context()
                context.load_verify_locations(**{"capath" if os.path.isdir(ca) else "cafile": ca})
                context.wrap_socket(connection, server_hostname=where.hostname).close()
    except ConfigError as error:
        about.fail("ping", error, _ADDRESS)
    except (OSError, ValueError) as error:
        about.fail("ping", f"{url.host}: {error}", _ADDRESS)
    else:
        about.ok("ping", f"{where.hostname} takes connections{' (a proxy)' if proxy else ''}; nothing was sent")


def metrics(about: Examination) -> None:
    """The file could be replaced, and what is in it is ours."""
    from harvesters.operate.metricsfile import MetricsFile

    try:
        file = MetricsFile.of(about.settings)
        jobs = file.read()
    except (ConfigError, BadInput, OSError) as error:
        about.fail("metrics", error, _FILE)
        return
    directory = file.path.parent
    if not directory.is_dir():
        about.fail("metrics", f"{directory} is no directory", _FILE)
    elif not os.access(directory, os.W_OK | os.X_OK):
        about.fail("metrics", f"{directory} cannot be written by this user", _FILE)
    else:
        about.ok("metrics", f"{file.path} can be written, and has the runs of {len(jobs)} jobs")

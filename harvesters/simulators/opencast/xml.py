"""Episodes, media packages and workflows as the XML that Opencast would turn into JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from xml.etree.ElementTree import Element, SubElement

from harvesters.simulators.opencast.data import Episode, MediaElement, Operation, Segment, Workflow


def local_time(moment: datetime, zone: tzinfo) -> str:
    """``xs:dateTime`` to the second, in the server's zone."""
    text = moment.astimezone(zone).isoformat(timespec="seconds")
    return text[:-6] + "Z" if text.endswith("+00:00") else text


def utc_time(moment: datetime) -> str:
    """``2019-09-19T07:51:00Z``."""
    return local_time(moment, UTC)


def add(parent: Element, name: str, text: str | int | None) -> None:
    """A child with a text, or none when the value is null or empty."""
    if text not in (None, ""):
        SubElement(parent, name).text = str(text)


def media_package(episode: Episode) -> Element:
    """``mediapackage``: a start only if it is set, a duration only if it is known."""
    package = Element("mediapackage")
    if episode.duration is not None:
        package.set("duration", str(episode.duration))
    package.set("id", episode.mpid)
    if episode.start is not None:
        package.set("start", utc_time(episode.start))
    add(package, "title", episode.title)
    add(package, "series", episode.series)
    add(package, "seriestitle", episode.series_title)
    add(package, "language", episode.language)
    add(package, "license", episode.license)
    for name, texts in (
        ("creator", episode.creators),
        ("contributor", episode.contributors),
        ("subject", episode.subjects),
    ):
        if texts:
            several = SubElement(package, f"{name}s")
            for text in texts:
                add(several, name, text)
    for wrapper, name, elements in (
        ("media", "track", episode.tracks),
        ("metadata", "catalog", episode.catalogs),
        ("attachments", "attachment", episode.attachments),
    ):
        SubElement(package, wrapper).extend(media_element(name, element) for element in elements)
    SubElement(package, "publications")
    return package


def media_element(name: str, given: MediaElement) -> Element:
    """``track``, ``catalog`` or ``attachment``."""
    element = Element(name, {"id": given.id, "type": given.type})
    if given.ref:
        element.set("ref", given.ref)
    add(element, "mimetype", given.mimetype)
    tags = SubElement(element, "tags")
    for tag in given.tags:
        add(tags, "tag", tag)
    add(element, "url", given.url)
    add(element, "size", given.size)
    if given.md5:
        SubElement(element, "checksum", {"type": "md5"}).text = given.md5
    add(element, "duration", given.duration)
    if given.live is not None:
        add(element, "live", "true" if given.live else "false")
    return element


def search_results(
    episodes: Sequence[Episode], *, offset: int, limit: int, total: int, query: str, zone: tzinfo
) -> Element:
    """``search-results`` of the Solr-backed search, Opencast 15 and older."""
    numbers = {"offset": offset, "limit": limit, "total": total, "searchTime": 5}
    root = Element("search-results", {name: str(number) for name, number in numbers.items()})
    add(root, "query", query)
    root.extend(search_result(episode, zone) for episode in episodes)
    return root


def search_result(episode: Episode, zone: tzinfo) -> Element:
    """``result``: the media package and Dublin Core beside it; no field for a null one."""
    result = Element("result", {"id": episode.mpid, "org": "mh_default_org"})
    result.append(media_package(episode))
    add(result, "dcExtent", episode.duration if episode.extent is None else episode.extent)
    add(result, "dcTitle", episode.title)
    for name, texts in (
        ("dcSubject", episode.subjects),
        ("dcCreator", episode.creators),
        ("dcPublisher", episode.publishers),
        ("dcContributor", episode.contributors),
    ):
        add(result, name, next(iter(texts), None))
    add(result, "dcDescription", episode.description)
    if episode.start is not None:
        add(result, "dcCreated", local_time(episode.start, zone))
    add(result, "dcLanguage", episode.language)
    add(result, "dcSpatial", episode.spatial)
    add(result, "dcTemporal", period(episode))
    add(result, "dcIsPartOf", episode.series)
    add(result, "dcType", episode.type)
    add(result, "dcLicense", episode.license)
    add(result, "mediaType", "AudioVisual")
    SubElement(result, "keywords")
    if episode.modified is not None:
        add(result, "modified", local_time(episode.modified, zone))
    add(result, "score", "1.5")
    if episode.segments:
        segments = SubElement(result, "segments")
        segments.extend(segment(place, one) for place, one in enumerate(episode.segments))
    return result


def period(episode: Episode) -> str:
    """The planned time as Dublin Core has it, ``start=…; end=…; scheme=W3C-DTF;``; "" where there is none."""
    if episode.planned is None:
        return ""
    start, end = map(utc_time, episode.planned)
    return f"start={start}; end={end}; scheme=W3C-DTF;"


def segment(index: int, given: Segment) -> Element:
    """``segment``: a slide's text, which may be empty, and its preview."""
    numbers = {"index": index, "time": given.time, "duration": given.duration, "relevance": -1}
    element = Element("segment", {**{name: str(number) for name, number in numbers.items()}, "hit": "false"})
    SubElement(element, "text").text = given.text
    SubElement(SubElement(element, "previews"), "preview", {"ref": f"track-{index}"}).text = f"https://cdn/{index}.jpg"
    return element


def workflow(given: Workflow, package: Element, version: int, zone: tzinfo) -> Element:
    """``workflow``; Opencast 12 adds dates and the media package's id beside it."""
    element = Element("workflow", {"id": str(given.id), "state": given.state})
    add(element, "template", given.template)
    add(element, "title", given.title)
    add(element, "creator-id", given.creator)
    add(element, "organization-id", "mh_default_org")
    if version >= 12 and given.created is not None:
        add(element, "dateCreated", local_time(given.created, zone))
    element.append(package)
    SubElement(element, "operations").extend(operation(step, version) for step in given.operations)
    SubElement(element, "configurations")
    if version >= 12:
        add(element, "mediaPackageId", given.mpid)
        add(element, "seriesId", package.findtext("series"))
    return element


def operation(step: Operation, version: int) -> Element:
    """``operation``: up to Opencast 11 its ``id`` is its name, from 12 on that is ``template`` and ``id`` a number."""
    names = {"id": step.name} if version < 12 else {"id": str(step.id), "template": step.name}
    element = Element("operation", {**names, "job": str(step.job), "state": step.state})
    if step.fail_on_error is not None:
        element.set("fail-on-error", str(step.fail_on_error).lower())
    if step.configuration:
        configurations = SubElement(element, "configurations")
        for key, text in step.configuration:
            SubElement(configurations, "configuration", {"key": key}).text = text
    for name, moment in (("started", step.started), ("completed", step.completed)):
        if moment is not None:
            add(element, name, int(moment.timestamp() * 1000))
    add(element, "time-in-queue", step.time_in_queue)
    return element

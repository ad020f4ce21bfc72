"""How each route words a meeting, a participant, a user: the same facts under different names and units.

A duration is a clock string on the Dashboard, whole minutes in reports, seconds for a report's participant, and absent
for a Dashboard participant. Rows of a running meeting have no end.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from harvesters.simulators.zoom.data import PERSONAL, Meeting, Participant, User

HIDDEN = ("user_name", "name", "ip_address", "location", "email", "user_email")
"""What an account may withhold: the fields are ``""`` then."""


def iso(moment: datetime | None) -> str:
    """``2026-11-02T10:00:00Z``; nothing is ``""``."""
    return "" if moment is None else f"{moment.isoformat()[:19]}Z"


def clock(seconds: int) -> str:
    """The Dashboard's ``MM:SS``, from one hour on ``HH:MM:SS``."""
    hours, rest = divmod(seconds, 3600)
    tail = f"{rest // 60:02}:{rest % 60:02}"
    return f"{hours:02}:{tail}" if hours else tail


def metrics_meeting(meeting: Meeting, now: datetime) -> dict[str, Any]:
    """A row of ``/metrics/meetings``."""
    rows = meeting.participants
    row: dict[str, Any] = {
        "uuid": meeting.uuid,
        "id": meeting.id,
        "topic": meeting.topic,
        "host": meeting.host.name,
        "email": meeting.host.email,
        "user_type": "Licensed" if meeting.host.type == 2 else "Basic",
        "dept": meeting.host.dept,
        **_times(meeting, now),
        "duration": clock(_seconds(meeting, now)) if _end_known(meeting, now) else "",
        "participants": 0 if meeting.blank_times else meeting.people,
        "has_pstn": any(row.device == "Phone" for row in rows),
        "has_voip": True,
        "has_3rd_party_audio": False,
        "has_video": True,
        "has_screen_share": any(row.share_desktop for row in rows),
        "has_recording": any(row.recording for row in rows),
        "has_sip": False,
        "has_archiving": False,
        "has_manual_captions": False,
        "has_automated_captions": False,
        "has_poll": False,
        "has_qa": False,
        "has_survey": False,
        "has_external_participant": any(not row.zoom_id for row in rows),
        "audio_quality": "good",
        "video_quality": "good",
        "screen_share_quality": "",
        "custom_keys": [],
        "tracking_fields": [],
    }
    return {**row, **meeting.odd}


def metrics_participant(row: Participant, now: datetime) -> dict[str, Any]:
    """A row of ``/metrics/meetings/{}/participants``; it has no duration."""
    gone = row.leave <= now and _leave_known(row, now)
    answered = {
        "id": row.zoom_id,
        "user_id": row.user_id,
        "participant_uuid": row.participant_uuid,
        "participant_user_id": row.zoom_id,
        "user_name": row.name,
        "email": row.email,
        "role": "attendee",
        "registrant_id": "",
        "customer_key": "",
        "bo_mtg_id": row.bo_mtg_id,
        "device": row.device,
        "os": row.device,
        "os_version": "",
        "client": "Zoom",
        "version": "6.2.5.1",
        "ip_address": row.ip_address,
        "internal_ip_addresses": ["192.168.1.7"],
        "location": row.location,
        "network_type": row.network_type,
        "microphone": "Built-in Microphone",
        "speaker": "Built-in Output",
        "camera": "HD Camera",
        "data_center": "Frankfurt (FR)",
        "full_data_center": "Frankfurt (FR);Amsterdam (AM)",
        "connection_type": "UDP",
        "join_time": iso(row.join),
        "leave_time": iso(row.leave) if gone else "",
        "leave_reason": row.leave_reason if gone else "",
        "share_application": False,
        "share_desktop": row.share_desktop,
        "share_whiteboard": False,
        "recording": row.recording,
        "pc_name": "",
        "domain": "",
        "mac_addr": "",
        "harddisk_id": "",
        "device_name": "",
        "groupId": "",
        "status": row.status,
        "in_room_participants": 1,
        "audio_call": [],
        "sip_uri": "",
        "from_sip_uri": "",
        "has_archiving": False,
        "optional_archiving": False,
    }
    return {**answered, **row.odd}


def report_participant(row: Participant, now: datetime) -> dict[str, Any]:
    """A row of ``/report/meetings/{}/participants`` and of ``/past_meetings/{}/participants``."""
    known = _leave_known(row, now)
    answered = {
        "id": row.zoom_id,
        "user_id": row.user_id,
        "name": row.name,
        "user_email": row.email,
        "join_time": iso(row.join),
        "leave_time": iso(row.leave) if known else "",
        "duration": int((row.leave - row.join).total_seconds()) if known else 0,
        "status": row.status,
        "failover": False,
        "registrant_id": "",
        "customer_key": "",
        "bo_mtg_id": row.bo_mtg_id,
        "participant_user_id": row.zoom_id,
    }
    return {**answered, **row.odd}


def report_meeting(meeting: Meeting, now: datetime) -> dict[str, Any]:
    """``/report/meetings/{}`` and a row of ``/report/users/{}/meetings``."""
    blank = meeting.blank_times
    stayed = sum((row.leave - row.join).total_seconds() for row in meeting.participants)
    row = {
        "uuid": meeting.uuid,
        "id": meeting.id,
        "type": meeting.type,
        "topic": meeting.topic,
        "user_name": meeting.host.name,
        "user_email": meeting.host.email,
        **_times(meeting, now),
        "duration": _minutes(_seconds(meeting, now)) if _end_known(meeting, now) else 0,
        "total_minutes": 0 if blank else _minutes(int(stayed)),
        "participants_count": 0 if blank else meeting.people,
        "dept": meeting.host.dept,
        "source": "Zoom",
        "custom_keys": [],
        "tracking_fields": [],
    }
    return {**row, **meeting.odd}


def past_meeting(meeting: Meeting, now: datetime) -> dict[str, Any]:
    """``/past_meetings/{}``: the report's fields with the host's id."""
    row = report_meeting(meeting, now)
    del row["custom_keys"], row["tracking_fields"]
    return {**row, "host_id": meeting.host.id}


def user_meeting(meeting: Meeting, now: datetime) -> dict[str, Any]:
    """A row of ``/users/{}/meetings``; its duration is the planned one, in minutes."""
    row = {
        "uuid": meeting.uuid,
        "id": meeting.id,
        "host_id": meeting.host.id,
        "topic": meeting.topic,
        "type": meeting.type,
        "start_time": iso(meeting.start),
        "duration": _minutes(_seconds(meeting, now)),
        "timezone": "UTC",
        "created_at": iso(meeting.start),
        "join_url": f"https://zoom.example/j/{meeting.id}",
        "agenda": "",
    }
    return {**row, "pmi": str(meeting.id)} if meeting.type == PERSONAL else row


def report_user(user: User, meetings: list[Meeting], now: datetime) -> dict[str, Any]:
    """A row of ``/report/users``: a host and what he held within the range."""
    return {
        "id": user.id,
        "email": user.email,
        "user_name": user.name,
        "type": user.type,
        "dept": user.dept,
        "meetings": len(meetings),
        "participants": sum(meeting.people for meeting in meetings),
        "meeting_minutes": sum(_minutes(_seconds(meeting, now)) for meeting in meetings),
        "custom_attributes": [],
    }


def withheld(row: dict[str, Any]) -> dict[str, Any]:
    """A participant as an account words it that gives no personal data away."""
    return {**row, **{name: "" for name in HIDDEN if name in row}}


def _times(meeting: Meeting, now: datetime) -> dict[str, str]:
    if meeting.blank_times:
        return {"start_time": "", "end_time": ""}
    over = meeting.end is not None and meeting.end <= now and _end_known(meeting, now)
    return {"start_time": iso(meeting.start), "end_time": iso(meeting.end) if over else ""}


def _end_known(meeting: Meeting, now: datetime) -> bool:
    return not meeting.blank_times and (meeting.end_known_at is None or meeting.end_known_at <= now)


def _leave_known(row: Participant, now: datetime) -> bool:
    return row.leave_known_at is None or row.leave_known_at <= now


def _seconds(meeting: Meeting, now: datetime) -> int:
    end = now if meeting.end is None else min(meeting.end, now)
    return max(int((end - meeting.start).total_seconds()), 0)


def _minutes(seconds: int) -> int:
    return -(-seconds // 60)

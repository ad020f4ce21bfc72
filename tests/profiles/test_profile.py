from __future__ import annotations

from dataclasses import asdict

from harvesters.profiles.profile import Profile


def test_whatever_a_document_holds_can_be_written() -> None:
    odd = {
        "id": "-K\ud83d",
        "name": "Ana \ud83d",
        "bio": {"x": 1},
        "school_ids": "a\udc00",
        "class_ids": [17, None, "b\ud800"],
    }
    profile = Profile.of({"_source": odd, "_score": 1.0})
    assert asdict(profile) == {
        "id": "-K\ufffd",
        "name": "Ana \ufffd",
        "bio": "{'x': 1}",
        "school_ids": ["a\ufffd"],
        "class_ids": ["17", "b\ufffd"],
        "score": 1.0,
    }

"""What a pseudonym is, which fields have one, and which keys are good enough."""

from __future__ import annotations

import hmac
import ipaddress
import unicodedata
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.errors import ConfigError
from harvesters.privacy import redact
from harvesters.pseudonyms import Key, Names, Plan, Pseudonyms, from_settings, read_keys
from harvesters.settings import Settings

SECRET = "0123456789abcdef"
SAFE = Key("k1", SECRET)


def by_hand(value: str) -> str:
    return hmac.new(SECRET.encode(), value.encode(), sha256).hexdigest()


def plan(*names: str) -> Plan:
    chosen = Names.parse(names)
    return Plan(Pseudonyms(chosen, [SAFE]), chosen.match, chosen.below)


class TestValues:
    def test_a_text_is_the_first_half_of_its_hmac(self) -> None:
        assert SAFE.pseudonym("10564389") == by_hand("10564389")[:32]

    @pytest.mark.parametrize(
        ("spelling", "same"),
        [
            (10564389, "10564389"),
            (10564389.0, "10564389"),
            (1e21, "1" + 21 * "0"),
            (0.5, "0.5"),
            (orjson.Fragment(b"123456789012345678901234567890"), "123456789012345678901234567890"),
            ("  10564389\n", "10564389"),
            ("Ada.Lovelace@Example.EDU ", "ada.lovelace@example.edu"),
            (unicodedata.normalize("NFD", "Zoë"), unicodedata.normalize("NFC", "Zoë")),
        ],
    )
    def test_one_spelling(self, spelling: Any, same: str) -> None:
        assert SAFE.pseudonym(spelling) == by_hand(same)[:32]

    def test_case_counts_without_an_at(self) -> None:
        assert SAFE.pseudonym("Ada") != SAFE.pseudonym("ada")

    @pytest.mark.parametrize("value", ["", "  ", None, "anonymous", " anonymous ", True, False])
    def test_what_stays(self, value: Any) -> None:
        assert SAFE.pseudonym(value) is None
        assert Pseudonyms(Names.parse(["huid"]), [SAFE]).of(value) is value

    @pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "::1", "fe80::1"])
    def test_an_address_becomes_one_that_is_nobodys(self, address: str) -> None:
        found = SAFE.pseudonym(address)
        assert found == str(ipaddress.IPv6Address(bytes.fromhex("fd" + by_hand(address)[:30])))
        assert ipaddress.IPv6Address(found) in ipaddress.IPv6Network("fd00::/8")

    def test_an_address_has_one_pseudonym_however_it_is_written(self) -> None:
        assert len({SAFE.pseudonym(each) for each in ("2001:db8::1", "2001:DB8:0:0::0:1", " 2001:db8::1 ")}) == 1
        assert SAFE.pseudonym("::ffff:192.0.2.1") == SAFE.pseudonym("192.0.2.1")

    @pytest.mark.parametrize("value", ["192.0.2", "192.0.2.1:443", "10.0.0.1, 10.0.0.2", "unknown", "1:2", "1.2.3.999"])
    def test_what_is_no_address_is_a_text(self, value: str) -> None:
        assert SAFE.pseudonym(value) == by_hand(value)[:32]

    @given(st.one_of(st.text(), st.integers(), st.floats(), st.ip_addresses().map(str)))
    def test_it_never_fails_holds_nothing_of_the_value_and_is_the_same_again(self, value: Any) -> None:
        found = SAFE.pseudonym(value)
        assert found == SAFE.pseudonym(value)
        if found is not None:
            assert len(found) == 32 or ipaddress.IPv6Address(found).compressed == found
            assert found != str(value)
            assert Key("k2", SECRET + "x").pseudonym(value) != found

    @given(st.text())
    def test_spellings_of_a_text_are_one_person(self, text: str) -> None:
        nfc = unicodedata.normalize("NFC", text)
        assert SAFE.pseudonym(f"\t{unicodedata.normalize('NFD', text)} ") == SAFE.pseudonym(nfc)


BODY: dict[str, Any] = {
    "huid": "1",
    "ip": "10.0.0.1",
    "proxy1": "10.0.0.2",
    "proxy12": "10.0.0.3",
    "email": "a@b.c",
    "host": {"email": "d@e.f", "name": "Ada"},
    "deep": [{"huid": 2, "list": [[{"huid": "3"}], "huid"]}],
    "geoip": {"ip": "10.0.0.1"},
    "huid_raw": {"x": "4"},
    "involved": ["u1", "u2"],
    "members": {"u1": True, "u2": True},
}


class TestNames:
    def changed(self, *names: str) -> set[str]:
        def leaves(value: Any, path: str = "") -> dict[str, Any]:
            if isinstance(value, dict):
                pairs = [(f"{path}.{name}", item) for name, item in value.items()]
            elif isinstance(value, list):
                pairs = [(f"{path}.{at}", item) for at, item in enumerate(value)]
            else:
                return {path[1:]: value}
            return {name: leaf for inner, item in pairs for name, leaf in leaves(item, inner).items()}

        before, after = leaves(BODY), leaves(plan(*names).body(BODY))
        return {path for path, value in before.items() if after.get(path) != value}

    def test_a_name_at_any_depth(self) -> None:
        assert self.changed("huid") == {"huid", "deep.0.huid", "deep.0.list.0.0.huid", "huid_raw.x"}
        assert self.changed("ip") == {"ip", "geoip.ip"}

    def test_a_star_at_its_end(self) -> None:
        assert self.changed("proxy*") == {"proxy1", "proxy12"}

    def test_a_path_there_only(self) -> None:
        assert self.changed("host.email") == {"host.email"}
        assert self.changed("host.*") == {"host.email", "host.name"}

    def test_a_list_and_the_names_of_a_set_are_values(self) -> None:
        assert self.changed("involved") == {"involved.0", "involved.1"}
        assert self.changed("members") == {"members.u1", "members.u2"}

    def test_what_is_shared_is_left_as_it_is(self) -> None:
        before = orjson.dumps(BODY)
        made = plan("huid").body(BODY)
        assert orjson.dumps(BODY) == before
        assert made["host"] is BODY["host"]

    def test_many_names_are_not_remembered_for_ever(self) -> None:
        some = plan("huid")
        for number in range(3):
            some.body({f"-K{number}{at}": "x" for at in range(6000)})
        assert len(some._root.known) <= 12_000

    @pytest.mark.parametrize("name", ["*", "hu id", "a..b", "h*id", ".a"])
    def test_what_is_no_name(self, name: str) -> None:
        with pytest.raises(ConfigError, match="no name of a field"):
            Names.parse([name])

    @pytest.mark.parametrize("name", ["action_id", "id", "u*", "uuid", "mpid", "pseudonym_key"])
    def test_what_ids_are_made_of_stays(self, name: str) -> None:
        with pytest.raises(ConfigError, match="so it stays"):
            Names.parse([name])
        Names.parse(["zoom.id", "user_id"])


class TestKeys:
    def test_the_first_is_used(self) -> None:
        keys = read_keys("new:aaaaaaaaaaaaaaaa, old:bbbbbbbbbbbbbbbb")
        assert [(key.id, key.secret) for key in keys] == [("new", "a" * 16), ("old", "b" * 16)]
        assert Pseudonyms(Names.parse(["huid"]), keys).key.id == "new"

    def test_a_file_has_one_a_line(self, tmp_path: Path) -> None:
        path = tmp_path / "keys"
        path.write_text("# this year's\nnew:aaaaaaaaaaaa,aaa:\n\nold:bbbbbbbbbbbbbbbb\n")
        assert [key.secret for key in read_keys(f"@{path}")] == ["aaaaaaaaaaaa,aaa:", "b" * 16]

    @pytest.mark.parametrize("text", ["", ",", "k1", "k1:short-secret1", "k 1:aaaaaaaaaaaaaaaa", ":aaaaaaaaaaaaaaaa"])
    def test_what_is_no_key(self, text: str) -> None:
        with pytest.raises(ConfigError):
            read_keys(text)

    def test_an_id_is_one_keys(self) -> None:
        with pytest.raises(ConfigError, match="same ID"):
            read_keys("k:aaaaaaaaaaaaaaaa,k:bbbbbbbbbbbbbbbb")

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read"):
            read_keys(f"@{tmp_path / 'none'}")

    def test_no_message_shows_a_secret(self, tmp_path: Path) -> None:
        path = tmp_path / "keys"
        path.write_text("k1:s3cret-of-a-long-key")
        read_keys(f"@{path}")
        assert "s3cret" not in redact("the key is s3cret-of-a-long-key")
        with pytest.raises(ConfigError) as raised:
            read_keys("k1:too-sh0rt")
        assert "too-sh0rt" not in str(raised.value)
        assert "too-sh0rt" not in repr(read_keys("k1:too-sh0rt-no-more"))

    def test_fields_without_a_key(self) -> None:
        assert from_settings(Settings({})) is None
        with pytest.raises(ConfigError, match="HARVEST_PSEUDONYM_KEY"):
            from_settings(Settings({"HARVEST_PSEUDONYMISE": "huid"}))

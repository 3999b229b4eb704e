"""opcua/security: no channel without belief, no token in clear, against real servers."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from cryptography.x509.oid import ExtendedKeyUsageOID

sys.path.insert(0, str(Path(__file__).parent))
import opcua_pki as pki_of
from opcua_pki import POLICY_TYPES, Users, keep, made, own, secured
from opcua_pki import settings as settings_of

from connectors.connector import ConfigError, SourceUnavailable
from connectors.opcua.certificates import moment, thumbprint
from connectors.opcua.connector import OpcUaConnector
from connectors.opcua.testing import running
from connectors.opcua.trust import TrustList
from connectors.sink import Link
from connectors.testing import RecordingSink
from historian.clock import SystemClock
from historian.testing import free_port

DAY = timedelta(days=1)


async def read_x(settings):
    """Values that a source delivers first, and its connector."""
    sink = RecordingSink()
    connector = OpcUaConnector("line", settings, SystemClock())
    async with running(connector, sink) as task:
        row = asyncio.ensure_future(sink.wait_for_rows(1))
        await asyncio.wait({row, task}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        row.cancel()
        if task.done():
            await task
    return [value for _, _, _, value in sink.rows()], sink


@pytest.fixture(scope="module")
def server_pair():
    return made()


@pytest.fixture
def pki(tmp_path, server_pair):
    """A folder with a certificate of ours, in which the server's is trusted."""
    own(tmp_path)
    keep(tmp_path, "trusted", server_pair)
    return tmp_path


@pytest.mark.parametrize("mode", ["sign", "sign_and_encrypt"])
@pytest.mark.parametrize(
    "policy", ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]
)
def test_every_policy_and_mode_reads_from_a_server_that_offers_it_alone(
    pki, server_pair, policy, mode
):
    suffix = {"sign": "Sign", "sign_and_encrypt": "SignAndEncrypt"}[mode]
    offered = POLICY_TYPES[f"{policy.replace('_', '')}_{suffix}"]

    async def play():
        async with secured(server_pair, offered) as (port, _):
            return await read_x(settings_of(port, pki, security={"policy": policy, "mode": mode}))

    values, _ = asyncio.run(play())

    assert [4.5] == values


def test_a_policy_that_the_server_does_not_offer_is_named_beside_what_it_offers(pki, server_pair):
    async def play():
        async with secured(server_pair, POLICY_TYPES.Basic256Sha256_Sign) as (port, _):
            await read_x(settings_of(port, pki))

    with pytest.raises(SourceUnavailable, match=r"Basic256Sha256:Sign, want Basic256Sha256 with"):
        asyncio.run(play())


def test_an_unknown_certificate_is_refused_and_kept_and_taken_once_a_person_trusts_it(tmp_path):
    server_pair = made()
    own(tmp_path)
    thumb = thumbprint(server_pair.certificate)

    async def play():
        async with secured(server_pair) as (port, _):
            with pytest.raises(SourceUnavailable, match="an unknown certificate"):
                await read_x(settings_of(port, tmp_path))
            kept = tmp_path / "rejected" / f"{thumb}.der"
            assert kept.read_bytes() == server_pair.der
            TrustList(tmp_path).move(thumb[:10], "trusted")
            assert not kept.exists()
            return await read_x(settings_of(port, tmp_path))

    assert [4.5] == asyncio.run(play())[0]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"begin": -40 * DAY, "end": -DAY}, "one that is valid on"),
        ({"begin": DAY}, "one that is valid on"),
        ({"hosts": ("other.plant",)}, "host names .*other.plant.*, want '127.0.0.1'"),
        ({"uri": "urn:test:another"}, "application uri .*urn:test:another"),
        ({"usage": ExtendedKeyUsageOID.CLIENT_AUTH}, "one of a server"),
        ({"bits": 1024}, "a key of 1024 bits"),
    ],
    ids=["expired", "not yet valid", "wrong host", "wrong uri", "not a server's", "weak key"],
)
def test_a_trusted_certificate_that_breaks_a_rule_is_refused(tmp_path, wish, words):
    server_pair = made(**wish)
    own(tmp_path)
    keep(tmp_path, "trusted", server_pair)

    async def play():
        async with secured(server_pair) as (port, _):
            await read_x(settings_of(port, tmp_path))

    with pytest.raises(SourceUnavailable, match=words):
        asyncio.run(play())
    assert not (tmp_path / "rejected").exists()


def test_a_wrong_host_is_taken_only_where_the_configuration_says_so(tmp_path):
    server_pair = made(hosts=("other.plant",))
    own(tmp_path)
    keep(tmp_path, "trusted", server_pair)

    async def play():
        async with secured(server_pair) as (port, _):
            return await read_x(settings_of(port, tmp_path, security={"check_host": False}))

    assert [4.5] == asyncio.run(play())[0]


def test_a_certificate_of_a_trusted_authority_is_taken_until_it_is_revoked(tmp_path):
    authority = made(name="plant authority", authority=True)
    server_pair = made(issuer=authority)
    own(tmp_path)
    keep(tmp_path, "trusted", authority)

    async def play():
        async with secured(server_pair) as (port, _):
            values, _ = await read_x(settings_of(port, tmp_path))
            keep(tmp_path, "issuers", pki_of.revocations(authority, server_pair))
            with pytest.raises(SourceUnavailable, match="a revoked certificate"):
                await read_x(settings_of(port, tmp_path))
            return values

    assert [4.5] == asyncio.run(play())


def test_a_server_that_does_not_hold_the_key_of_a_trusted_certificate_is_refused(pki, server_pair):
    """Whoever shows a stranger's certificate cannot open the channel."""
    thief = made()
    thief.certificate = server_pair.certificate

    async def play():
        async with secured(thief) as (port, _):
            await read_x(settings_of(port, pki))

    with pytest.raises(SourceUnavailable):
        asyncio.run(play())


def test_a_source_that_does_not_speak_of_security_is_refused_with_what_to_say(tmp_path):
    settings = settings_of(4840, tmp_path)
    del settings["security"]

    with pytest.raises(ConfigError, match=r'want "none" .* or a table \[security\]'):
        OpcUaConnector("line", settings, SystemClock())


def test_a_folder_without_a_certificate_of_ours_names_the_command_and_is_looked_at_again(
    tmp_path, server_pair
):
    keep(tmp_path, "trusted", server_pair)

    async def play():
        async with secured(server_pair) as (port, _):
            with pytest.raises(SourceUnavailable, match="historian certificate make"):
                await read_x(settings_of(port, tmp_path))
            own(tmp_path)
            return await read_x(settings_of(port, tmp_path))

    assert [4.5] == asyncio.run(play())[0]


def test_a_server_that_comes_back_with_another_trusted_certificate_is_connected_again(
    pki, server_pair
):
    """The session of the old channel cannot be resumed; trying that for ever would be silence."""
    renewed = made()
    keep(pki, "trusted", renewed)

    async def play():
        port, sink = free_port(), RecordingSink()
        connector = OpcUaConnector("line", settings_of(port, pki), SystemClock())
        async with secured(server_pair, port=port):
            task = asyncio.create_task(connector.run(sink))
            await asyncio.wait_for(sink.wait_for_rows(1), 30)
        with pytest.raises(SourceUnavailable):
            await asyncio.wait_for(task, 30)
        async with secured(renewed, port=port), running(connector, sink):
            await asyncio.wait_for(sink.wait_for_rows(2), 30)
        return sink

    assert [4.5, 4.5] == [value for _, _, _, value in asyncio.run(play()).rows()]


@pytest.mark.parametrize("mode", ["sign", "sign_and_encrypt"])
def test_a_user_with_the_right_password_reads_and_with_a_wrong_one_does_not(
    pki, server_pair, mode, monkeypatch
):
    monkeypatch.setenv("PLC_USER", "reader")
    monkeypatch.setenv("PLC_PASSWORD", "secret")
    suffix = {"sign": "Sign", "sign_and_encrypt": "SignAndEncrypt"}[mode]
    users = Users(anonymous=False)
    more = {"user_env": "PLC_USER", "password_env": "PLC_PASSWORD", "security": {"mode": mode}}

    async def play():
        offered = POLICY_TYPES[f"Basic256Sha256_{suffix}"]
        async with secured(server_pair, offered, users=users) as (port, _):
            values, _ = await read_x(settings_of(port, pki, **more))
            monkeypatch.setenv("PLC_PASSWORD", "wrong")
            with pytest.raises(SourceUnavailable, match="BadUserAccessDenied"):
                await read_x(settings_of(port, pki, **more))
            return values

    assert [4.5] == asyncio.run(play())
    assert ["secret", "wrong"] == [password for _, password, _ in users.asked]


def test_a_password_is_not_sent_in_clear_because_a_server_asks_for_it(
    pki, server_pair, monkeypatch
):
    """Asyncua only warns; whoever listens on a signed channel reads what is not encrypted."""
    monkeypatch.setenv("PLC_USER", "reader")
    monkeypatch.setenv("PLC_PASSWORD", "secret")
    users = Users(anonymous=False)
    more = {
        "user_env": "PLC_USER",
        "password_env": "PLC_PASSWORD",
        "security": {"mode": "sign"},
    }

    async def play():
        offered = POLICY_TYPES.Basic256Sha256_Sign
        async with secured(server_pair, offered, users=users) as (port, server):
            for endpoint in server.iserver.endpoints:
                for token in endpoint.UserIdentityTokens:
                    token.SecurityPolicyUri = "http://opcfoundation.org/UA/SecurityPolicy#None"
            await read_x(settings_of(port, pki, **more))

    with pytest.raises(ConfigError, match="in clear"):
        asyncio.run(play())
    assert [] == users.asked


def test_a_password_without_security_must_be_allowed_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("PLC_USER", "reader")
    monkeypatch.setenv("PLC_PASSWORD", "secret")
    settings = settings_of(4840, tmp_path, user_env="PLC_USER", password_env="PLC_PASSWORD")
    settings["security"] = "none"

    with pytest.raises(ConfigError, match="password_in_clear"):
        OpcUaConnector("line", settings, SystemClock())

    OpcUaConnector("line", {**settings, "password_in_clear": True}, SystemClock())


def test_a_user_with_a_certificate_reads_and_with_an_unknown_one_does_not(
    pki, server_pair, tmp_path, monkeypatch
):
    files = {}
    for name in ("known", "unknown"):
        user = made(name=name, usage=ExtendedKeyUsageOID.CLIENT_AUTH)
        (tmp_path / f"{name}.der").write_bytes(user.der)
        (tmp_path / f"{name}.key").write_bytes(user.sealed_key(b"open"))
        files[name] = user
    monkeypatch.setenv("PLC_KEY", "open")
    users = Users([files["known"].der], anonymous=False)

    def settings(port, name):
        return settings_of(
            port,
            pki,
            user_certificate_file=str(tmp_path / f"{name}.der"),
            user_key_file=str(tmp_path / f"{name}.key"),
            user_key_password_env="PLC_KEY",
        )

    async def play():
        tokens = [ua.X509IdentityToken]
        async with secured(server_pair, users=users, tokens=tokens) as (port, _):
            values, _ = await read_x(settings(port, "known"))
            with pytest.raises(SourceUnavailable, match="BadUserAccessDenied"):
                await read_x(settings(port, "unknown"))
            return values

    assert [4.5] == asyncio.run(play())


def test_a_renewed_certificate_is_used_once_the_server_trusts_it_and_the_old_one_until_then(
    tmp_path, server_pair
):
    clock = SystemClock()
    old = own(tmp_path, days=20)
    new = own(tmp_path)
    keep(tmp_path, "trusted", server_pair)
    trusted, seen = {thumbprint(old.certificate)}, []

    async def believe(certificate, _application):
        seen.append(thumbprint(certificate))
        if seen[-1] not in trusted:
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    async def play():
        async with secured(server_pair, believe=believe) as (port, _):
            first = await read_x(settings_of(port, tmp_path))
            trusted.add(thumbprint(new.certificate))
            return first, await read_x(settings_of(port, tmp_path))

    (first, first_sink), (second, second_sink) = asyncio.run(play())

    assert [4.5] == first == second
    new_thumb, old_thumb = thumbprint(new.certificate), thumbprint(old.certificate)
    assert [new_thumb, old_thumb, new_thumb] == seen
    details = [
        next(state.detail for state in sink.states if state.link is Link.CONNECTED)
        for sink in (first_sink, second_sink)
    ]
    assert "does not take our certificate 2 yet; 1 ends in 19 days" in details[0]
    assert "certificate" not in details[1]
    assert old.certificate.not_valid_after_utc > moment(clock.now_ns())


def test_a_certificate_that_ends_soon_is_named_in_the_state_of_the_source(tmp_path, server_pair):
    own(tmp_path, days=12)
    keep(tmp_path, "trusted", server_pair)

    async def play():
        async with secured(server_pair) as (port, _):
            return await read_x(settings_of(port, tmp_path))

    _, sink = asyncio.run(play())

    connected = next(state for state in sink.states if state.link is Link.CONNECTED)
    assert "our certificate 1 ends in 11 days, renew it" in connected.detail


def test_a_short_nonce_of_a_server_is_refused_before_a_token_is_sent(pki, server_pair, monkeypatch):
    users = Users()
    monkeypatch.setattr("asyncua.server.internal_session.create_nonce", lambda _n: b"\x00" * 8)

    async def play():
        async with secured(server_pair, users=users) as (port, _):
            await read_x(settings_of(port, pki))

    with pytest.raises(SourceUnavailable, match="a nonce of 8 bytes"):
        asyncio.run(play())
    assert [] == users.asked

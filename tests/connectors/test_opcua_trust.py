"""opcua/trust: who is believed, chain by chain, and what becomes of the others."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from opcua_pki import DAY, SERVER_URI, keep, made, revocations

from connectors.connector import ConfigError
from connectors.opcua.certificates import thumbprint
from connectors.opcua.trust import Rules, TrustList, Untrusted
from historian.clock import SystemClock

RULES = Rules(SERVER_URI, "127.0.0.1")


def check(folder, sent, rules=RULES):
    """The certificate that is believed; of a chain, sent leaf first."""
    data = b"".join(each.der for each in sent)
    return TrustList(folder).check(data, rules, SystemClock().now_ns())


@pytest.fixture(scope="module")
def tree():
    """A root, an authority below it, a server below that."""
    root = made(name="root", authority=True)
    middle = made(name="middle", authority=True, issuer=root)
    return root, middle, made(issuer=middle)


@pytest.mark.parametrize("trusted", [0, 1])
def test_any_authority_of_the_chain_is_enough_when_the_chain_is_whole(tmp_path, tree, trusted):
    root, middle, server = tree
    keep(tmp_path, "trusted", tree[trusted])
    with pytest.raises(Untrusted, match="no issuer that we know"):
        check(tmp_path, [server])  # the middle, or the root, is missing
    keep(tmp_path, "issuers", root, middle)

    assert server.certificate == check(tmp_path, [server])


def test_issuers_that_the_server_sends_complete_a_chain_and_are_not_believed(tmp_path, tree):
    root, middle, server = tree
    with pytest.raises(Untrusted, match="an unknown certificate"):
        check(tmp_path, [server, middle, root])
    keep(tmp_path, "trusted", root)

    assert server.certificate == check(tmp_path, [server, middle])


def test_authorities_in_issuers_alone_make_nobody_trusted(tmp_path, tree):
    root, middle, server = tree
    keep(tmp_path, "issuers", root, middle)

    with pytest.raises(Untrusted, match="an unknown certificate"):
        check(tmp_path, [server])


def test_a_name_without_its_signature_is_no_issuer(tmp_path, tree):
    """Somebody else's authority with the same name."""
    root, _, _ = tree
    forged = made(issuer=made(name="root", authority=True))
    keep(tmp_path, "trusted", root)

    with pytest.raises(Untrusted, match="no issuer that we know"):
        check(tmp_path, [forged])


def test_a_trusted_server_makes_no_other_server_trusted(tmp_path):
    """Its certificate is an application's, whatever its constraints say."""
    application = made(name="app")
    other = made(issuer=application)
    keep(tmp_path, "trusted", application)

    with pytest.raises(Untrusted, match="no issuer that we know"):
        check(tmp_path, [other])


def test_a_chain_longer_than_its_authority_allows_is_refused(tmp_path):
    root = made(name="root", authority=True, path_length=0)
    middle = made(name="middle", authority=True, issuer=root)
    keep(tmp_path, "trusted", root)

    assert check(tmp_path, [made(issuer=root)])
    with pytest.raises(Untrusted, match="no issuer that we know"):
        check(tmp_path, [made(issuer=middle), middle])


def test_an_expired_authority_ends_its_servers(tmp_path):
    root = made(name="root", authority=True, begin=-9 * DAY, end=-DAY)
    keep(tmp_path, "trusted", root)

    with pytest.raises(Untrusted, match=r"CN=root .*one that is valid on"):
        check(tmp_path, [made(issuer=root)])


def test_a_revoked_authority_ends_its_servers_and_a_list_of_another_key_counts_nothing(tmp_path):
    root = made(name="root", authority=True)
    middle = made(name="middle", authority=True, issuer=root)
    server = made(issuer=middle)
    keep(tmp_path, "trusted", root)
    stranger = made(name="root", authority=True)
    keep(tmp_path, "issuers", middle, revocations(stranger, middle))
    assert check(tmp_path, [server])

    (tmp_path / "trusted" / "r.crl").write_bytes(revocations(root, middle))

    with pytest.raises(Untrusted, match=r"CN=middle .*a revoked certificate"):
        check(tmp_path, [server])


def test_a_list_out_of_date_still_revokes_and_is_missed_only_where_one_is_required(tmp_path):
    root = made(name="root", authority=True)
    good, bad = made(issuer=root), made(issuer=root)
    keep(tmp_path, "trusted", root)
    strict = Rules(SERVER_URI, "127.0.0.1", revocation_required=True)
    with pytest.raises(Untrusted, match="no revocation list"):
        check(tmp_path, [good], strict)
    keep(tmp_path, "issuers", revocations(root, bad, end=-DAY))

    assert check(tmp_path, [good])
    with pytest.raises(Untrusted, match="revoked"):
        check(tmp_path, [bad])
    with pytest.raises(Untrusted, match="up to date"):
        check(tmp_path, [good], strict)
    keep(tmp_path, "issuers", revocations(root, bad))
    assert check(tmp_path, [good], strict)


@pytest.mark.parametrize(
    ("hosts", "host", "fits"),
    [
        (("Press.Plant",), "press.plant.", True),
        (("press.plant",), "press", False),
        (("*.plant",), "press.plant", False),
        (("::1",), "[0:0:0:0:0:0:0:1]", True),
        (("10.0.0.7", "press"), "10.0.0.7", True),
        ((), "press", False),
    ],
)
def test_host_names_are_compared_as_names_and_addresses(tmp_path, hosts, host, fits):
    server = made(hosts=hosts)
    keep(tmp_path, "trusted", server)
    rules = Rules(SERVER_URI, host)

    if fits:
        assert check(tmp_path, [server], rules)
    else:
        with pytest.raises(Untrusted, match="host names"):
            check(tmp_path, [server], rules)


def test_rejected_certificates_are_bounded_and_the_oldest_go(tmp_path):
    trust = TrustList(tmp_path, rejected_max=3)
    names = []
    for number in range(5):
        server = made()
        with pytest.raises(Untrusted, match="kept as rejected/"):
            trust.check(server.der, RULES, SystemClock().now_ns())
        names.append(f"{thumbprint(server.certificate)}.der")
        os.utime(tmp_path / "rejected" / names[-1], ns=(number, number))

    assert set(names[2:]) == {path.name for path in (tmp_path / "rejected").iterdir()}


def test_a_rejected_chain_that_is_trusted_leaves_its_issuers_to_complete_it(tmp_path, tree):
    root, middle, server = tree
    with pytest.raises(Untrusted):
        check(tmp_path, [server, middle, root])

    TrustList(tmp_path).move(thumbprint(server.certificate), "trusted")

    assert ["trusted", "issuers", "issuers"] == [
        part for part, _, _ in TrustList(tmp_path).listed()
    ]
    assert check(tmp_path, [server])
    with pytest.raises(Untrusted):
        check(tmp_path, [made(issuer=middle), middle, root])


@pytest.mark.parametrize("sent", [b"", b"\x30", b"\x30\x85\x01\x01\x01\x01\x01", b"x" * 5_000])
def test_bytes_that_are_no_certificate_are_refused_and_not_kept(tmp_path, sent):
    with pytest.raises(Untrusted, match="want its certificate"):
        TrustList(tmp_path).check(sent, RULES, SystemClock().now_ns())
    assert not (tmp_path / "rejected").exists()


def test_a_beginning_that_several_certificates_have_moves_none(tmp_path):
    servers = [made() for _ in range(17)]
    keep(tmp_path, "rejected", *servers)
    first = [thumbprint(each.certificate)[0] for each in servers]
    twice = next(each for each in first if first.count(each) > 1)

    with pytest.raises(ConfigError, match="want one"):
        TrustList(tmp_path).move(twice, "trusted")

"""``historian certificate``: what a person does by hand, on files."""

import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from typer.testing import CliRunner

from api.__main__ import app
from api.encoding import decode
from connectors.opcua.certificates import moment, pairs, thumbprint, usable
from historian.clock import SystemClock


def call(*arguments, code=0):
    """Run a command in this process; return what it printed."""
    done = CliRunner().invoke(app, ["certificate", *map(str, arguments)])
    assert code == done.exit_code, (done.output, done.exception)
    return done


def listed(folder):
    """What ``list`` shows as (folder, thumbprint)."""
    rows = decode(call("list", "--folder", folder, "--json").stdout.encode())["certificates"]
    return [(row["folder"], row["thumbprint"]) for row in rows]


def authority_signs(csr):
    """A company's authority: (its answer, its own certificate)."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "company")])
    now = moment(SystemClock().now_ns())

    def certificate(subject, public, ca):
        builder = x509.CertificateBuilder(name, subject, public, x509.random_serial_number())
        builder = builder.not_valid_before(now).not_valid_after(now.replace(year=now.year + 1))
        return builder.add_extension(x509.BasicConstraints(ca, None), True)

    built = certificate(csr.subject, csr.public_key(), False)
    for extension in csr.extensions:
        built = built.add_extension(extension.value, extension.critical)
    return (
        built.sign(key, hashes.SHA256()),
        certificate(name, key.public_key(), True).sign(key, hashes.SHA256()),
    )


def test_make_writes_a_certificate_of_an_application_and_a_key_that_only_the_owner_reads(tmp_path):
    call(
        *("make", "--folder", tmp_path, "--uri", "urn:plant:historian"),
        *("--host", "edge1.plant", "--host", "10.0.0.7", "--organization", "Plant"),
    )

    key_path = tmp_path / "own" / "1.key"
    assert 0o600 == stat.S_IMODE(key_path.stat().st_mode)
    assert 3072 == load_pem_private_key(key_path.read_bytes(), None).key_size
    found = x509.load_der_x509_certificate((tmp_path / "own" / "1.der").read_bytes())
    extensions = found.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ["urn:plant:historian"] == names.get_values_for_type(x509.UniformResourceIdentifier)
    assert ["edge1.plant"] == names.get_values_for_type(x509.DNSName)
    assert ["10.0.0.7"] == [str(a) for a in names.get_values_for_type(x509.IPAddress)]
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.content_commitment
    assert usage.key_encipherment
    assert usage.data_encipherment
    assert usage.key_cert_sign
    uses = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [ExtendedKeyUsageOID.CLIENT_AUTH] == list(uses)
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    found.verify_directly_issued_by(found)


@pytest.mark.parametrize("wrong", [("--host", "fräse"), ("--host", "a b"), ("--uri", "urn:ä")])
def test_a_name_that_no_certificate_can_hold_is_refused_before_a_key_is_made(tmp_path, wrong):
    assert wrong[1] in call("make", "--folder", tmp_path, *wrong, code=1).stderr
    assert not (tmp_path / "own").exists()


def test_make_never_replaces_and_renew_adds_a_newer_one_for_the_same_application(tmp_path):
    call("make", "--folder", tmp_path, "--uri", "urn:plant:h", "--host", "a.plant", "--days", 30)
    first = (tmp_path / "own" / "1.der").read_bytes()

    assert "renew" in call("make", "--folder", tmp_path, code=1).stderr
    call("renew", "--folder", tmp_path)

    new, old = usable(tmp_path / "own", SystemClock().now_ns())
    assert (2, 1) == (new.number, old.number)
    assert first == old.certificate.public_bytes(Encoding.DER)
    names = [
        pair.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        for pair in (new, old)
    ]
    assert names[0] == names[1]
    assert new.certificate.public_key() != old.certificate.public_key()


def test_a_request_becomes_a_pair_with_its_chain_when_the_authority_has_signed(tmp_path):
    call("request", "--folder", tmp_path, "--uri", "urn:plant:h", "--host", "a.plant")
    csr = x509.load_pem_x509_csr((tmp_path / "own" / "1.csr").read_bytes())
    assert csr.is_signature_valid
    assert [] == pairs(tmp_path / "own")
    answer, authority = authority_signs(csr)
    signed = tmp_path / "answer.pem"
    signed.write_bytes(answer.public_bytes(Encoding.PEM) + authority.public_bytes(Encoding.PEM))

    call("install", signed, "--folder", tmp_path)

    (pair,) = pairs(tmp_path / "own")
    assert (answer, authority) == pair.chain
    signed.write_bytes(authority.public_bytes(Encoding.PEM))
    assert "no request" in call("install", signed, "--folder", tmp_path, code=1).stderr


def test_trust_and_reject_move_a_certificate_by_the_beginning_of_its_thumbprint(tmp_path):
    call("make", "--folder", tmp_path / "server", "--uri", "urn:server")
    der = (tmp_path / "server" / "own" / "1.der").read_bytes()
    thumb = thumbprint(x509.load_der_x509_certificate(der))
    folder = tmp_path / "pki"

    call("trust", tmp_path / "server" / "own" / "1.der", "--folder", folder)
    assert [("trusted", thumb)] == listed(folder)
    call("reject", thumb[:8].upper(), "--folder", folder)
    assert [("rejected", thumb)] == listed(folder)
    call("trust", thumb, "--folder", folder)
    assert [("trusted", thumb)] == listed(folder)
    assert "want one" in call("trust", "00ff", "--folder", folder, code=1).stderr


@pytest.mark.parametrize("data", [b"", b"\x30\x84\xff", b"not a certificate", b"\x30\x82\x00"])
def test_a_broken_file_in_the_trust_list_is_left_out_and_the_others_count(tmp_path, data):
    call("make", "--folder", tmp_path / "server", "--uri", "urn:server")
    call("trust", tmp_path / "server" / "own" / "1.der", "--folder", tmp_path)
    (tmp_path / "trusted" / "broken.der").write_bytes(data)

    assert ["trusted"] == [part for part, _ in listed(tmp_path)]


def test_the_folder_of_a_source_is_taken_from_the_configuration(tmp_path):
    config = tmp_path / "historian.toml"
    pki = tmp_path / "pki"
    config.write_text(
        '[[sources]]\nname = "press"\nkind = "opcua"\n[sources.settings]\n'
        'url = "opc.tcp://h:1"\napplication_uri = "urn:plant:press"\nnodes = ["i=1"]\n'
        f'[sources.settings.security]\npki_path = "{pki}"\n'
    )

    call("make", "--source", "press", "--config", config)

    (pair,) = pairs(pki / "own")
    names = pair.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ["urn:plant:press"] == names.get_values_for_type(x509.UniformResourceIdentifier)
    assert "press" in call("list", "--source", "x", "--config", config, code=1).stderr

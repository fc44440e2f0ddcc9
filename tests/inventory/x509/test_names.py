"""Names made from templates: a value is only ever a value, and what no certificate may say is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from inventory.x509 import names
from inventory.x509.names import MAX_SUBJECT_CHARACTERS, NameTemplateError

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=64)


def refused(template: str, **values: str) -> str:
    with pytest.raises(NameTemplateError) as refusal:
        names.subject(template, values)
    return str(refusal.value)


def test_a_template_gives_its_attributes_in_the_order_it_names_them():
    name = names.subject("CN={serial},OU={site},O=Demo Grid", {"serial": "SM1", "site": "Penang"})
    assert name.rfc4514_string() == "CN=SM1,OU=Penang,O=Demo Grid"


@given(TEXT)
@example("Penang,CN=admin")
@example("Penang+CN=admin")
@example('"quoted\\"')
@example("\\,CN=admin")
@example("{serial}")
@example("#0403020100")
@example(" blanks ")
@example("\u202egnaneP")
def test_no_value_changes_the_shape_of_a_name(site):
    name = names.subject("CN={serial},OU={site}", {"serial": "SM1", "site": site})
    expected = {(NameOID.COMMON_NAME, "SM1")} | ({(NameOID.ORGANIZATIONAL_UNIT_NAME, site)} if site else set())
    assert {(attribute.oid, attribute.value) for attribute in name} == expected


@given(TEXT)
def test_a_name_keeps_its_value_through_the_bytes_of_a_certificate(site):
    name = names.subject("CN=SM1,OU={site}", {"site": site})
    builder = x509.Name.from_rfc4514_string(name.rfc4514_string())
    assert builder.public_bytes() == name.public_bytes()


def test_an_attribute_without_a_value_is_left_out():
    assert names.subject("CN={serial},OU={site}", {"serial": "SM1"}).rfc4514_string() == "CN=SM1"
    assert names.subject("OU={site}+CN={serial}", {"serial": "SM1", "site": ""}).rfc4514_string() == "CN=SM1"


@pytest.mark.parametrize("character", ["\0", "\n", "\r", "\x1b", "\x7f", "\x85"])
def test_a_control_character_is_refused(character):
    assert "cannot hold" in refused("CN=SM1,OU={site}", site=f"a{character}b")


@pytest.mark.parametrize(("attribute", "most"), [("CN", 64), ("O", 64), ("OU", 64), ("2.5.4.5", 64), ("L", 128)])
def test_an_attribute_is_at_most_as_long_as_rfc_5280_allows(attribute, most):
    assert len(names.subject(f"{attribute}={{site}}", {"site": "x" * most}).public_bytes()) > most
    assert f"{most + 1} characters; RFC 5280 allows {most}" in refused(f"{attribute}={{site}}", site="x" * (most + 1))


def test_a_common_name_of_64_characters_that_are_more_bytes_is_refused_not_broken():
    assert "gives no distinguished name" in refused("CN={site}", site="é" * 64)


def test_a_name_longer_than_the_inventory_keeps_is_refused():
    template = ",".join(f"L={{site}}+2.5.4.{oid}={{site}}" for oid in (41, 42, 43))
    assert f"at most {MAX_SUBJECT_CHARACTERS}" in refused(template, site="," * 100)


@pytest.mark.parametrize("value", ["SM_1", "a@b", "é", "a*b"])
def test_a_serial_number_attribute_holds_a_printable_string_only(value):
    assert "cannot hold" in refused("2.5.4.5={site}", site=value)


@pytest.mark.parametrize("template", ["CN={owner}", "CN={}", "CN={ serial}", "CN={serial.__class__}"])
def test_an_unknown_placeholder_is_refused_with_the_known_ones(template):
    assert "a template may use {batch}, {fleet}, {serial}, {site}" in refused(template, serial="SM1")


@pytest.mark.parametrize("template", ["nonsense", "CN=", "CN={serial} , O=x", "FOO=bar", "C=Malaysia", "CN=#0403"])
def test_a_template_that_is_no_distinguished_name_is_refused(template):
    assert template.partition("=")[0] in refused(template, serial="SM1")


def general_name(template: str, **values: str) -> x509.GeneralName:
    [name] = names.general_names([template], values)
    return name


def test_alternative_names_are_of_the_kind_that_their_line_begins_with():
    assert general_name("DNS:{serial}.meters.example", serial="sm-1") == x509.DNSName("sm-1.meters.example")
    assert general_name("uri:urn:dev:{serial}", serial="SM_1") == x509.UniformResourceIdentifier("urn:dev:SM_1")
    assert general_name("EMAIL:{serial}@example.org", serial="SM1") == x509.RFC822Name("SM1@example.org")
    assert str(general_name("IP:{site}", site="2001:db8::1").value) == "2001:db8::1"


@pytest.mark.parametrize("held", [[], [x509.DNSName("sm-1.example")]])
def test_the_alternative_names_of_a_certificate_are_read_from_it(held):
    key, end = ec.generate_private_key(ec.SECP256R1()), datetime(2030, 1, 1, tzinfo=UTC)
    name = x509.Name.from_rfc4514_string("CN=SM1")
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, end - timedelta(days=1), end)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    if held:
        builder = builder.add_extension(x509.SubjectAlternativeName(held), critical=False)
    assert names.alternative_names(builder.sign(key, hashes.SHA256())) == held


@pytest.mark.parametrize(
    ("template", "site"),
    [
        ("DNS:{site}", ""),
        ("DNS:{site}.example", "Penang North"),
        ("DNS:{site}.example", "a_b"),
        ("DNS:{site}.example", "-a"),
        ("DNS:{site}.example", ""),
        ("DNS:{site}", "x" * 64),
        ("DNS:{site}", "a\0.example"),
        ("DNS:{site}", "a\n"),
        ("DNS:{site}", "bücher.example"),
        ("URI:{site}", ""),
        ("URI:{site}", "relative"),
        ("URI:urn:dev:{site}", "Penang North"),
        ("URI:urn:dev:{site}", "100%"),
        ("URI:urn:dev:{site}", "a\n"),
        ("EMAIL:{site}", "nobody"),
        ("EMAIL:{site}@example.org", ""),
        ("EMAIL:{site}@example.org", "a b"),
        ("EMAIL:{site}@example.org", "a@b"),
        ("IP:{site}", "10.0.0.256"),
        ("IP:{site}", "fe80::1%eth0"),
    ],
)
def test_a_value_that_gives_no_such_alternative_name_is_refused(template, site):
    with pytest.raises(NameTemplateError, match=r"RFC 5280 4\.2\.1\.6"):
        general_name(template, site=site)


@pytest.mark.parametrize("template", ["{serial}", "urn:dev:{serial}", "", ":", "DNS"])
def test_an_alternative_name_without_a_kind_is_refused(template):
    with pytest.raises(NameTemplateError, match="must begin with DNS:"):
        general_name(template, serial="SM1")

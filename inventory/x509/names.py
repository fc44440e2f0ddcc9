"""Names in certificates, made from a profile's templates and one device's values."""

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Mapping

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from inventory.x509 import der

PLACEHOLDERS = frozenset({"serial", "fleet", "batch", "site"})
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_EMPTY_IF_UNSET = ""

# What the inventory keeps of a subject as text (RFC 4514).
MAX_SUBJECT_CHARACTERS = 512
# RFC 5280 appendix A.1, upper bounds in characters.
_MOST_CHARACTERS = {
    NameOID.COMMON_NAME: 64,
    NameOID.ORGANIZATION_NAME: 64,
    NameOID.ORGANIZATIONAL_UNIT_NAME: 64,
    NameOID.SERIAL_NUMBER: 64,
    NameOID.TITLE: 64,
    NameOID.LOCALITY_NAME: 128,
    NameOID.STATE_OR_PROVINCE_NAME: 128,
    NameOID.PSEUDONYM: 128,
    NameOID.EMAIL_ADDRESS: 255,
}
# RFC 5280 appendix A.1: attributes that are not UTF-8, and what their string type can hold (X.680 41.4).
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,./:=?-]*")
_ASCII = re.compile(r"[ -~]*")
_ALPHABETS = {
    NameOID.COUNTRY_NAME: _PRINTABLE,
    NameOID.JURISDICTION_COUNTRY_NAME: _PRINTABLE,
    NameOID.SERIAL_NUMBER: _PRINTABLE,
    NameOID.DN_QUALIFIER: _PRINTABLE,
    NameOID.EMAIL_ADDRESS: _ASCII,
    NameOID.DOMAIN_COMPONENT: _ASCII,
}
# RFC 5280 4.2.1.6. A DNS name has the preferred syntax (RFC 1034 3.5, RFC 1123 2.1): no blank, no underscore.
_DNS_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DNS = re.compile(rf"(?=.{{1,253}}\Z){_DNS_LABEL}(?:\.{_DNS_LABEL})*")
# A URI has a scheme and what follows it, in the characters of RFC 3986 2.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_EMAIL = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_DNS_LABEL}(?:\.{_DNS_LABEL})*")


class NameTemplateError(ValueError):
    """A template cannot give a name; the text says which part and why."""


def _fill(template: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        key = match.group(1)
        if key not in PLACEHOLDERS:
            known = ", ".join("{" + name + "}" for name in sorted(PLACEHOLDERS))
            raise NameTemplateError(f"{{{key}}} is unknown; a template may use {known}.")
        return values.get(key, _EMPTY_IF_UNSET)

    return PLACEHOLDER.sub(value, template)


def subject(template: str, values: Mapping[str, str]) -> x509.Name:
    """Return the distinguished name that `template` (RFC 4514) gives for `values`.

    Values are put into the parsed name, never into its text: a comma in a site's name stays a comma.
    Attributes whose value is empty are left out. Raises NameTemplateError.
    """
    try:
        parsed = x509.Name.from_rfc4514_string(template)
        filled = [[_attribute(attribute, values) for attribute in relative_name] for relative_name in parsed.rdns]
        kept = [[attribute for attribute in attributes if attribute] for attributes in filled]
        name = x509.Name([x509.RelativeDistinguishedName(attributes) for attributes in kept if attributes])
    except NameTemplateError:
        raise
    except ValueError as error:
        raise NameTemplateError(f"{template!r} gives no distinguished name: {error}") from error
    if (length := len(name.rfc4514_string())) > MAX_SUBJECT_CHARACTERS:
        raise NameTemplateError(
            f"{template!r} gives a name of {length} characters; at most {MAX_SUBJECT_CHARACTERS} are kept."
        )
    return name


def most_characters(attribute: x509.ObjectIdentifier) -> int:
    """Return how many characters a value of `attribute` may have."""
    return _MOST_CHARACTERS.get(attribute, MAX_SUBJECT_CHARACTERS)


def _attribute(part: x509.NameAttribute[str | bytes], values: Mapping[str, str]) -> x509.NameAttribute[str] | None:
    """Return `part` of a template, filled; None when it is empty. Raises NameTemplateError or ValueError."""
    if not isinstance(part.value, str):
        raise NameTemplateError(f"{part.rfc4514_string()} is not text; a template is made of text.")
    value = _fill(part.value, values)
    if not value:
        return None
    most = most_characters(part.oid)
    if len(value) > most:
        raise NameTemplateError(
            f"{part.rfc4514_string()} gives {len(value)} characters; RFC 5280 allows {most} for this attribute."
        )
    alphabet = _ALPHABETS.get(part.oid)
    if any(unicodedata.category(character) == "Cc" for character in value) or (
        alphabet and not alphabet.fullmatch(value)
    ):
        raise NameTemplateError(f"{part.rfc4514_string()} gives {value!r}, with characters that it cannot hold.")
    return x509.NameAttribute(part.oid, value)


def general_names(templates: Iterable[str], values: Mapping[str, str]) -> list[x509.GeneralName]:
    """Return the alternative names of `KIND:TEMPLATE` lines, KIND being DNS, URI, IP or EMAIL.

    Raises NameTemplateError.
    """
    return [_general_name(template, values) for template in templates]


def _general_name(template: str, values: Mapping[str, str]) -> x509.GeneralName:
    kind, separator, rest = template.partition(":")
    value = _fill(rest, values)
    match kind.upper() if separator else "":
        case "DNS" if _DNS.fullmatch(value):
            return x509.DNSName(value)
        case "URI" if _URI.fullmatch(value):
            return x509.UniformResourceIdentifier(value)
        case "EMAIL" if _EMAIL.fullmatch(value):
            return x509.RFC822Name(value)
        case "IP" if address := _ip_address(value):
            return x509.IPAddress(address)
        case "DNS" | "URI" | "EMAIL" | "IP":
            raise NameTemplateError(
                f"{template!r} gives {value!r}, which is no {kind.upper()} name (RFC 5280 4.2.1.6)."
            )
    raise NameTemplateError(f"{template!r} must begin with DNS:, URI:, IP: or EMAIL:.")


def _ip_address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return None
    # A zone names an interface of one host (RFC 4007 11); a certificate holds the address alone.
    return None if "%" in value else address


def object_identifier(dotted: str) -> x509.ObjectIdentifier:
    """Return the identifier written as `dotted`. Raises NameTemplateError."""
    try:
        return x509.ObjectIdentifier(dotted)
    except ValueError as error:
        raise NameTemplateError(f"{dotted!r} is no object identifier, such as 1.3.6.1.5.5.7.3.2.") from error


def common_names(name: x509.Name) -> list[str]:
    return [str(attribute.value) for attribute in name.get_attributes_for_oid(NameOID.COMMON_NAME)]


_ALTERNATIVE_NAME = der.object_identifier(x509.SubjectAlternativeName.oid.dotted_string)


def alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    """Return the subject's alternative names, none when the extension is absent."""
    # To read all extensions takes longer than to sign a certificate.
    if _ALTERNATIVE_NAME not in certificate.public_bytes(Encoding.DER):
        return []
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []

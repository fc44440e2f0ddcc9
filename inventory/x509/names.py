"""Names in certificates, made from a profile's templates and one device's values."""

import ipaddress
import re
from collections.abc import Iterable, Mapping

from cryptography import x509
from cryptography.x509.oid import NameOID

PLACEHOLDERS = frozenset({"serial", "fleet", "batch", "site"})
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_EMPTY_IF_UNSET = ""


class NameTemplateError(ValueError):
    """A template cannot give a name; the text says which part and why."""


def _fill(template: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        key = match.group(1)
        if key not in PLACEHOLDERS:
            known = ", ".join("{" + name + "}" for name in sorted(PLACEHOLDERS))
            raise NameTemplateError(f"{{{key}}} is unknown; a template may use {known}.")
        return values.get(key, _EMPTY_IF_UNSET)

    return _PLACEHOLDER.sub(value, template)


def subject(template: str, values: Mapping[str, str]) -> x509.Name:
    """Return the distinguished name that `template` (RFC 4514) gives for `values`.

    Values are put into the parsed name, never into its text: a comma in a site's name stays a comma.
    Attributes whose value is empty are left out. Raises NameTemplateError.
    """
    try:
        parsed = x509.Name.from_rfc4514_string(template)
        relative_names = [
            x509.RelativeDistinguishedName(
                [
                    x509.NameAttribute(attribute.oid, filled)
                    for attribute in relative_name
                    if (filled := _fill(str(attribute.value), values))
                ]
            )
            for relative_name in parsed.rdns
            if any(_fill(str(attribute.value), values) for attribute in relative_name)
        ]
        return x509.Name(relative_names)
    except NameTemplateError:
        raise
    except ValueError as error:
        raise NameTemplateError(f"{template!r} is not a distinguished name: {error}") from error


def general_names(templates: Iterable[str], values: Mapping[str, str]) -> list[x509.GeneralName]:
    """Return the alternative names of `KIND:TEMPLATE` lines, KIND being DNS, URI, IP or EMAIL.

    Raises NameTemplateError.
    """
    return [_general_name(template, values) for template in templates]


def _general_name(template: str, values: Mapping[str, str]) -> x509.GeneralName:
    kind, separator, rest = template.partition(":")
    value = _fill(rest, values)
    try:
        match kind.upper() if separator else "":
            case "DNS":
                return x509.DNSName(value)
            case "URI":
                return x509.UniformResourceIdentifier(value)
            case "EMAIL":
                return x509.RFC822Name(value)
            case "IP":
                return x509.IPAddress(ipaddress.ip_address(value))
    except ValueError as error:
        raise NameTemplateError(f"{template!r} gives no alternative name: {error}") from error
    raise NameTemplateError(f"{template!r} must begin with DNS:, URI:, IP: or EMAIL:.")


def common_names(name: x509.Name) -> list[str]:
    return [str(attribute.value) for attribute in name.get_attributes_for_oid(NameOID.COMMON_NAME)]


def alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    """Return the subject's alternative names, none when the extension is absent."""
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []

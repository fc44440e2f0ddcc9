"""Which addresses webhooks may reach: no loopback, no link-local and no cloud metadata addresses."""

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Instance metadata outside the link-local networks: Amazon over IPv6, Alibaba, Oracle.
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")))
# RFC 6052 2.1: the last 32 bits are the IPv4 address that a translator would connect to.
_NAT64 = IPv6Network("64:ff9b::/96")


def why_refused(address: str, allowed: Iterable[Network]) -> str:
    """Return why webhooks may not reach `address`, or an empty string; `allowed` networks are always permitted.

    Raises ValueError if it is not an IP address.
    """
    # A zone names an interface of ours, for link-local addresses only (RFC 4007 11).
    found = _meant(ipaddress.ip_address(address.partition("%")[0]))
    if any(found in network for network in allowed):
        return ""
    kinds = {
        "a loopback address": found.is_loopback,
        "link-local": found.is_link_local,
        "unspecified": found.is_unspecified,
        "multicast": found.is_multicast,
        "an address of instance metadata": found in _METADATA,
        "reserved": found.is_reserved,
    }
    return next((kind for kind, holds in kinds.items() if holds), "")


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address leads to, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address

"""The unit by which unknown clients are counted: an IPv4 address, or an IPv6 /64."""

import ipaddress

# RFC 6177 2: a site is given a /64 at least, so one host may speak from all of its addresses.
_IPV6_PREFIX = 64


def network_of(address: str | None) -> str:
    """Return the network that `address` counts as, such as `192.0.2.7/32` or `2001:db8::/64`; of no address, nothing.

    An IPv4-mapped IPv6 address (RFC 4291 2.5.5.2) counts as the IPv4 address. Raises ValueError for a malformed one.
    """
    if not address:
        return ""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(parsed), _IPV6_PREFIX), strict=False))
        parsed = parsed.ipv4_mapped
    return f"{parsed}/32"

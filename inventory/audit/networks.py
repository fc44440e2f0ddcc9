"""Who counts as one where strangers are counted: an IPv4 address, or an IPv6 network of 64 bits."""

import ipaddress

# RFC 6177 2: a site is given a /64 at least, so one host may speak from all of its addresses.
_IPV6_PREFIX = 64


def network_of(address: str | None) -> str:
    """Return the network that `address` counts as, such as `192.0.2.7/32` or `2001:db8::/64`; of no address, nothing.

    An IPv4 address in IPv6 clothes (RFC 4291 2.5.5.2) is that IPv4 address. Raises ValueError for what is no address.
    """
    if not address:
        return ""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(parsed), _IPV6_PREFIX), strict=False))
        parsed = parsed.ipv4_mapped
    return f"{parsed}/32"

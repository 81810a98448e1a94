"""Which network addresses an alert is never sent to, whoever asks for it.

A machine in a cloud gets its credentials from an address of its own, without a password. A web hook
that could be made to call it would hand them out. Private and loopback addresses are the user's own
services and are allowed: whoever sets the address of an alert has a shell here anyway.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NETWORKS = (
    IPv4Network("169.254.0.0/16"),  # link-local: AWS, Azure, Google, ECS task credentials
    IPv4Network("100.100.100.200/32"),  # Alibaba
    IPv4Network("192.0.0.192/32"),  # Oracle
    IPv4Network("168.63.129.16/32"),  # Azure's host agent
    IPv6Network("fe80::/10"),  # link-local
    IPv6Network("fd00:ec2::/32"),  # AWS
    IPv6Network("fd20:ce::/32"),  # Google
)
_NAT64 = IPv6Network("64:ff9b::/96")

NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"})
"""Host names of the same services, for where a proxy looks them up."""


def is_credential_service(text: str) -> bool:
    """Whether an IP address is link-local or a cloud's metadata service, in any of its disguises.

    Raises:
        ValueError: `text` is not an IP address.
    """
    address = ip_address(text.partition("%")[0])
    return any(form in network for form in _forms(address) for network in _NETWORKS if form.version == network.version)


def _forms(address: IPv4Address | IPv6Address) -> tuple[IPv4Address | IPv6Address, ...]:
    """The address and every IPv4 address that it carries inside."""
    if isinstance(address, IPv4Address):
        return (address,)
    inside = [address.ipv4_mapped, address.sixtofour, address.teredo[1] if address.teredo else None]
    if address in _NAT64:
        inside.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return (address, *(form for form in inside if form is not None))

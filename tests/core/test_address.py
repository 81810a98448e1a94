from __future__ import annotations

import pytest

from ciml.core.address import is_credential_service


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
    ],
)
def test_c154_where_clouds_hand_out_credentials(address: str) -> None:
    """Metadata services and link-local addresses, also inside an IPv6 address."""
    assert is_credential_service(address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "140.82.121.4", "2a00::1", "fd12::1"]
)
def test_the_user_s_own_services_are_allowed(address: str) -> None:
    """Loopback, private and public addresses: whoever sets them has a shell here anyway."""
    assert not is_credential_service(address)


def test_a_name_is_no_address() -> None:
    """It has to be resolved first."""
    with pytest.raises(ValueError, match="localhost"):
        is_credential_service("localhost")

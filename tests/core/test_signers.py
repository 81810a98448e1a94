from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ciml.core.errors import ConfigurationError
from ciml.core.signers import parse_signers

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ"


def test_lines_of_ssh_keygen_are_read() -> None:
    """Principals, options in any order, and a comment: as in the manual of ssh-keygen."""
    text = f"""# who may release
a@acme.example,b@acme.example {KEY} ann's laptop
*@acme.example namespaces="git,ciml",valid-after="20260101",valid-before="202612312359Z" {KEY}
"""
    first, second = parse_signers(text, file="signers")

    assert first.principals == ("a@acme.example", "b@acme.example")
    assert first.key == second.key == KEY
    assert second.valid_after == datetime(2026, 1, 1, tzinfo=UTC)
    assert second.valid_at(datetime(2026, 12, 31, 23, 58, tzinfo=UTC))
    assert not second.valid_at(datetime(2026, 12, 31, 23, 59, tzinfo=UTC))
    assert not second.valid_at(datetime(2025, 12, 31, tzinfo=UTC))


@pytest.mark.parametrize("options", ["cert-authority", 'namespaces="git"', 'namespaces="git,file*"'])
def test_keys_for_something_else_do_not_count(options: str) -> None:
    """Certificate authorities and keys that are for tags alone sign no provenance."""
    assert parse_signers(f"a@acme.example {options} {KEY}", file="signers") == ()


def test_all_lines_that_cannot_be_read_are_named_at_once() -> None:
    """An option that is not understood is never skipped: it may restrict the key."""
    text = f'a\nb verify-required {KEY}\nc valid-before="2026" {KEY}\nd valid-before="20261301" {KEY}'
    with pytest.raises(ConfigurationError) as caught:
        parse_signers(text, file="signers")

    assert [problem.line for problem in caught.value.problems] == [1, 2, 3, 4]

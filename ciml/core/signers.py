"""Whose signatures count: an `allowed_signers` file as ssh-keygen and Git read it.

Source: ssh-keygen(1), ALLOWED SIGNERS. The same file serves signed tags and provenance.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from ciml.core.errors import ConfigurationError, Problem
from ciml.core.value import Value

NAMESPACE = "ciml"
"""What a line's `namespaces=` has to allow for its key to sign provenance; `git` is for tags."""

_OPTION = re.compile(r'(?P<name>[a-z-]+)(?:="(?P<value>[^"]*)")?', re.IGNORECASE)
_KEY = re.compile(r"(?P<kind>(?:ssh|ecdsa|sk-)[a-z0-9@.-]*)\s+(?P<key>[A-Za-z0-9+/=]+)(?:\s.*)?")


class Signer(Value, frozen=True, kw_only=True):
    """One key and when it counts."""

    principals: tuple[str, ...]
    key: str
    """`ssh-ed25519 AAAA…`."""
    valid_after: datetime | None = None
    valid_before: datetime | None = None

    def valid_at(self, moment: datetime) -> bool:
        """Whether the key counts at a moment, with a time zone."""
        return (self.valid_after is None or self.valid_after <= moment) and (
            self.valid_before is None or moment < self.valid_before
        )


def parse_signers(text: str, *, file: str) -> tuple[Signer, ...]:
    """The keys that may sign provenance, in the order of the file.

    Certificate authorities and keys for other namespaces are left out.

    Raises:
        ConfigurationError: for all lines at once that cannot be read.
    """
    signers, problems = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                signer = _signer(line.strip())
            except ValueError as error:
                problems.append(Problem(message=str(error), file=file, line=number))
                continue
            signers += [signer] if signer else []
    if problems:
        raise ConfigurationError(problems=problems)
    return tuple(signers)


def _signer(line: str) -> Signer | None:
    principals, _, rest = line.partition(" ")
    options: dict[str, str] = {}
    rest = rest.strip()
    while not (key := _KEY.fullmatch(rest)):
        option = _OPTION.match(rest)
        if option is None:
            raise ValueError("is not `PRINCIPALS [OPTIONS] KEY-TYPE KEY`")
        options[option["name"].lower()] = option["value"] or ""
        rest = rest[option.end() :].lstrip(", ")
    if unknown := options.keys() - {"namespaces", "valid-after", "valid-before", "cert-authority"}:
        raise ValueError(f"the option {min(unknown)!r} is not known")
    if "cert-authority" in options or not _for_ciml(options.get("namespaces")):
        return None
    return Signer(
        principals=tuple(principals.strip('"').split(",")),
        key=f"{key['kind']} {key['key']}",
        valid_after=_moment(options.get("valid-after")),
        valid_before=_moment(options.get("valid-before")),
    )


def _for_ciml(namespaces: str | None) -> bool:
    return namespaces is None or any(fnmatchcase(NAMESPACE, pattern) for pattern in namespaces.split(","))


def _moment(text: str | None) -> datetime | None:
    """`YYYYMMDD[HHMM[SS]][Z]`. Without Z, ssh-keygen means the machine's zone; here it is UTC everywhere."""
    if text is None:
        return None
    digits = text.removesuffix("Z")
    for form in ("%Y%m%d", "%Y%m%d%H%M", "%Y%m%d%H%M%S"):
        # strptime alone would take fewer digits than the form has.
        if digits.isdecimal() and len(digits) == len(datetime(2000, 1, 1, tzinfo=UTC).strftime(form)):
            return datetime.strptime(digits, form).replace(tzinfo=UTC)
    raise ValueError(f"{text!r} is not a time YYYYMMDD[HHMM[SS]]Z")

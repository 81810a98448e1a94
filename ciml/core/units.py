"""Numbers with units, as `ciml.yaml` writes them."""

from __future__ import annotations

DURATION = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"
SIZE = r"^[0-9]+(\.[0-9]+)?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$"
SHARE = r"^[0-9]+(\.[0-9]+)?%$"

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


def seconds(text: str) -> float:
    """The seconds that `10s`, `1.5m` or `2h` says; `text` matches DURATION."""
    number = text.rstrip("msdh")
    return float(number) * _SECONDS[text[len(number) :]]


def size(text: str) -> int:
    """The bytes that `4GiB` says; `text` matches SIZE."""
    number = text.rstrip("kKMGTiB")
    return round(float(number) * _BYTES[text[len(number) :]])


def share(text: str) -> float:
    """0.1 for `10%`; `text` matches SHARE."""
    return float(text[:-1]) / 100

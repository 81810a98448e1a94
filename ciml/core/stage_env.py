"""The environment variables that a stage gets: an allow-list, and what the order adds.

It keeps CI tokens, cloud keys and registry credentials out of a stage by accident. It is no
wall against malice: a process can read its parent's environment.

Nothing of Python's own is passed or set (no PYTHONPATH, so ciml is never on a stage's import path;
no PYTHONHASHSEED; bytecode caches are written as usual, and go with the stage's directory): a stage
that wants one says so in its `env`.
"""

from __future__ import annotations

from collections.abc import Mapping

from ciml.core.order import WorkOrder

MARK = "CIML_STAGE_ID"
"""Set for every stage to a text of its own, by which processes that left its group are found again."""

_PROXIES = frozenset(f"{protocol}_PROXY" for protocol in ("HTTP", "HTTPS", "FTP", "ALL", "NO"))
_CERTIFICATES = frozenset({"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"})
_NAMES = (
    frozenset({"PATH", "HOME", "USER", "LANG", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV"})
    | _PROXIES
    | frozenset(map(str.lower, _PROXIES))
    | _CERTIFICATES
    | frozenset({"NODE_EXTRA_CA_CERTS"})
)
_PREFIXES = ("LC_", "CONDA_", "CUDA_", "NVIDIA_", "OMP_")


def allowed(environ: Mapping[str, str]) -> dict[str, str]:
    """Those variables that any stage may see: names that carry no credentials."""
    return {name: value for name, value in environ.items() if name in _NAMES or name.startswith(_PREFIXES)}


def missing_secrets(order: WorkOrder, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The secrets that the stage declares and the worker does not have."""
    return tuple(name for name in order.secrets if not environ.get(name))


def stage_env(order: WorkOrder, environ: Mapping[str, str]) -> dict[str, str]:
    """All variables of the stage, those of its directory apart.

    What the stage's own `env` says wins over what the machine says.
    """
    named = {name: environ[name] for name in (*order.pass_env, *order.secrets) if name in environ}
    return allowed(environ) | named | order.env

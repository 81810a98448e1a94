"""Alerts through Apprise. Whatever goes wrong is a value: an alert never changes what a run comes to.

Time is bounded, redirects are not followed, and while an alert is sent its thread cannot connect to
the address at which a cloud hands out a machine's credentials, whatever a name resolves to.
"""

from __future__ import annotations

import hashlib
import logging
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ciml.adapters.outbox import Outbox, Pending
from ciml.core.address import NAMES, is_credential_service
from ciml.core.alert import VARIABLE, Alert, Delivery, NotSent, Sent
from ciml.core.value import Value

if TYPE_CHECKING:
    from apprise.plugins import NotifyBase


class Limits(Value, frozen=True, kw_only=True):
    """How long alerts may take, in seconds."""

    answer_s: float = 5.0
    """One wait for a service, of several in one message."""
    message_s: float = 10.0
    """One message to one service."""
    all_s: float = 30.0
    """Everything that one run sends."""


class _Target(Value, frozen=True, kw_only=True):
    id: str
    """Digest of the address, which may hold a token."""
    label: str
    url: str


class Alerts:
    """Sends alerts to all addresses, and what earlier runs could not send.

    Args:
        folder: `<state>/outbox`.
        urls: the value of CIML_ALERT_URLS.
        limits: how long it may take.
    """

    def __init__(self, folder: str, urls: str, *, limits: Limits | None = None) -> None:
        self._outbox = Outbox(folder)
        self._urls = urls
        self._limits = limits or Limits()

    def send(self, alerts: Sequence[Alert]) -> tuple[Delivery, ...]:
        """What became of each alert at each address, with those of earlier runs. Never raises."""
        if not self._urls.strip() or not (alerts or self._outbox):
            return ()
        try:
            import apprise
        except ImportError:
            return (NotSent(target=VARIABLE, alert=None, reason='sending needs `pip install "ciml[alerts]"`'),)
        del apprise
        try:
            return tuple(self._send(alerts))
        except OSError as error:
            return (NotSent(target=VARIABLE, alert=None, reason=f"the outbox cannot be used: {error.strerror}"),)

    def _send(self, alerts: Sequence[Alert]) -> Iterator[Delivery]:
        targets = _targets(self._urls)
        for target in targets:
            for alert in alerts:
                self._outbox.add(alert, target.id)
        self._outbox.forget_all_but(frozenset(target.id for target in targets))
        end = time.monotonic() + self._limits.all_s
        for target in targets:
            yield from self._send_to(target, end)

    def _send_to(self, target: _Target, end: float) -> Iterator[Delivery]:
        """A service that fails once is left in peace until the next run."""
        plugin: NotifyBase | None = None
        for pending, lock in self._outbox.pending(target.id):
            try:
                plugin = plugin or _plugin(target, self._limits.answer_s)
                left = min(self._limits.message_s, end - time.monotonic())
                reason = self._message(plugin, pending, left)
                yield self._delivery(target, pending, reason)
            finally:
                lock.release()
            if reason is not None:
                return

    def _message(self, plugin: NotifyBase | None, pending: Pending, left: float) -> str | None:
        """None when the service took the message, else why it did not."""
        if plugin is None:
            return "it is not an address that Apprise knows"
        if left <= 0:
            return "other addresses took all the time"
        sending = _Sending(plugin, pending.alert)
        sending.start()
        sending.join(left)
        return sending.outcome()

    def _delivery(self, target: _Target, pending: Pending, reason: str | None) -> Delivery:
        if reason is None:
            self._outbox.sent(pending)
            return Sent(target=target.label, alert=pending.alert.key)
        given_up = self._outbox.failed(pending)
        return NotSent(target=target.label, alert=pending.alert.key, reason=reason, given_up=given_up)


def _targets(urls: str) -> list[_Target]:
    from apprise.utils.parse import parse_urls

    found = dict.fromkeys(str(url).strip() for url in parse_urls(urls))
    return [
        _Target(
            id=hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:16],
            label=f"{_scheme(url)} (address {number} of {VARIABLE})",
            url=url,
        )
        for number, url in enumerate(found, start=1)
    ]


def _scheme(url: str) -> str:
    """`slack` of `slack://token…`: all that is never secret."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]{0,20})://", url)
    return match[1].lower() if match else "unknown"


def _plugin(target: _Target, answer_s: float) -> NotifyBase | None:
    from apprise import Apprise, AppriseAsset

    _quieten()
    asset = AppriseAsset(http_redirects=False, storage_mode="memory", app_id="ciml", app_desc="ciml")
    plugin = Apprise.instantiate(target.url, asset=asset)
    if plugin is not None:
        plugin.redirects = False  # an address may say otherwise in its own query
        plugin.socket_connect_timeout = plugin.socket_read_timeout = answer_s
    return plugin


class _RefusedError(OSError):
    """A connection that is not made; an OSError, so that plugins take it for a connection that failed."""


class _Sending(threading.Thread):
    """One message on its way. A daemon: one that hangs ends with the process."""

    def __init__(self, plugin: NotifyBase, alert: Alert) -> None:
        super().__init__(daemon=True, name="ciml-alert")
        self._plugin = plugin
        self._alert = alert
        self._taken = False
        self._reason = "the service did not take it"
        self.status: str | None = None
        self.refusal: str | None = None
        self.abandoned = False

    def run(self) -> None:
        _guard_connections()
        try:
            self._refuse_by_name()
            self._taken = bool(
                self._plugin.notify(body=f"{self._alert.body}\n(alert {self._alert.key[:8]})", title=self._alert.title)
            )
        except Exception as error:  # a plugin is somebody else's code, and an alert must not end a run
            self._reason = f"sending failed ({type(error).__name__})"

    def outcome(self) -> str | None:
        """None when the service took the message, else why it did not. Call it once the wait is over."""
        if self.is_alive():
            self.abandoned = True
            return "no answer in time"
        return None if self._taken else self.refusal or self.status or self._reason

    def allow(self, host: str) -> None:
        """Raise unless this thread may connect to an IP address."""
        if self.abandoned:
            raise _RefusedError("the alert has been given up")
        if is_credential_service(host):
            self.refusal = "its address is that of a cloud's credentials, where no alert is sent"
            raise _RefusedError(self.refusal)

    def _refuse_by_name(self) -> None:
        """Also where a proxy makes the connection: then this process never sees the address."""
        host = getattr(self._plugin, "host", None)
        if not isinstance(host, str) or not host:
            return
        if host.lower().rstrip(".") in NAMES:
            self.refusal = "its name is that of a cloud's credentials, where no alert is sent"
            raise _RefusedError(self.refusal)
        try:
            found = socket.getaddrinfo(host, None)
        except (OSError, UnicodeError):
            return  # a token that stands in the host's place, or a name that only the proxy knows
        for *_, address in found:
            self.allow(str(address[0]))


class _Hook:
    """Whether the process has the hook; there is no way to take it out again."""

    installed = False
    lock = threading.Lock()


def _guard_connections() -> None:
    """Look at every connection that a sending thread makes, after names were resolved and redirects followed."""
    with _Hook.lock:
        if not _Hook.installed:
            sys.addaudithook(_audit)
            _Hook.installed = True


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event not in ("socket.connect", "socket.sendto"):
        return
    thread = threading.current_thread()
    if isinstance(thread, _Sending) and isinstance(address := arguments[1], tuple):
        try:
            thread.allow(str(address[0]))
        except ValueError as error:  # a name: what it resolves to cannot be known here
            raise _RefusedError("alerts connect to addresses only") from error


class _Statuses(logging.Handler):
    """Takes the HTTP status out of what Apprise logs and drops the rest, which may hold addresses."""

    def emit(self, record: logging.LogRecord) -> None:
        thread = threading.current_thread()
        if not isinstance(thread, _Sending):
            return
        text = record.getMessage()
        if match := re.search(r"error=(\d{3})\b", text):
            thread.status = f"HTTP {match[1]}"
        elif re.search(r"(?i)connection|socket", text):
            thread.status = "no connection, or no answer in time"


def _quieten() -> None:
    logger = logging.getLogger("apprise")
    logger.propagate = False
    if not any(isinstance(handler, _Statuses) for handler in logger.handlers):
        logger.addHandler(_Statuses())

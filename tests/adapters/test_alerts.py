from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ciml.adapters.alerts import Alerts, Limits
from ciml.adapters.outbox import ATTEMPTS, MARKS
from ciml.core.alert import Alert, NotSent, Occasion, Sent
from tests.story import d

QUICK = Limits(answer_s=0.5, message_s=1.0, all_s=20.0)


def alert(key: str = "a1", text: str = "accuracy 0.87") -> Alert:
    return Alert(occasion=Occasion.REJECTED, key=d(key), title="churn was rejected", body=text)


class Hook:
    """A web hook: answers what it is told to, and remembers what came."""

    def __init__(self) -> None:
        self.status = 200
        self.location: str | None = None
        self.got: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.release = threading.Event()
        self.release.set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.paths.append(self.path)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.release.wait(30)
                hook.got.append(json.loads(body))
                self.send_response(hook.status)
                if hook.location:
                    self.send_header("Location", hook.location)
                self.end_headers()

            do_GET = do_POST  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/hook"

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def hook() -> Iterator[Hook]:
    started = Hook()
    yield started
    started.close()


@pytest.fixture
def other() -> Iterator[Hook]:
    started = Hook()
    yield started
    started.close()


def waiting(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".json")]


def test_an_alert_arrives_once_however_often_it_is_sent(tmp_path: Path, hook: Hook, other: Hook) -> None:
    """Every address gets it; a second run with the same alert sends nothing."""
    urls = f"{hook.url}, {other.url}\n{hook.url}"
    first = Alerts(str(tmp_path), urls).send([alert()])
    second = Alerts(str(tmp_path), urls).send([alert()])

    assert [type(delivery) for delivery in first] == [Sent, Sent]
    assert second == ()
    assert [len(each.got) for each in (hook, other)] == [1, 1]
    assert hook.got[0]["title"] == "churn was rejected"
    assert hook.got[0]["message"].startswith("accuracy 0.87")


def test_without_addresses_nothing_happens(tmp_path: Path) -> None:
    """No outbox, and Apprise is not even imported."""
    code = (
        "import sys; from ciml.adapters.alerts import Alerts; from tests.adapters.test_alerts import alert;"
        f"assert Alerts({str(tmp_path / 'box')!r}, ' ').send([alert()]) == (); assert 'apprise' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

    assert not (tmp_path / "box").exists()


def test_c154_an_alert_that_was_not_taken_is_sent_by_a_later_run(tmp_path: Path, hook: Hook) -> None:
    """Web hook answers 500: the outcome is a value, the alert stays in the outbox and goes out once, later."""
    hook.status = 500
    (failed,) = Alerts(str(tmp_path), hook.url).send([alert()])
    hook.status = 200
    (sent,) = Alerts(str(tmp_path), hook.url).send([])

    assert isinstance(failed, NotSent)
    assert failed.reason == "HTTP 500"
    assert not failed.given_up
    assert isinstance(sent, Sent)
    assert Alerts(str(tmp_path), hook.url).send([alert()]) == ()
    assert len(hook.got) == 2
    assert waiting(tmp_path) == []


def test_c154_a_service_that_hangs_costs_a_bounded_time(tmp_path: Path, hook: Hook, other: Hook) -> None:
    """Web hook hangs: the wait ends, the other address still gets its alert, the hanging one is not tried twice."""
    hook.release.clear()
    began = time.monotonic()
    deliveries = Alerts(str(tmp_path), f"{hook.url} {other.url}", limits=QUICK).send([alert("a1"), alert("b2")])
    took = time.monotonic() - began

    assert [type(delivery) for delivery in deliveries] == [NotSent, Sent, Sent]
    assert len(hook.paths) == 1
    assert took < 15  # far from the 30 s for which the hook would hang


def test_c154_a_redirect_is_not_followed(tmp_path: Path, hook: Hook, other: Hook) -> None:
    """Redirect to http or to 169.254.169.254: neither is called, also where the address asks for redirects."""
    hook.status = 302
    for number, location in enumerate((f"http://127.0.0.1:{other.port}/", "http://169.254.169.254/latest/meta-data/")):
        hook.location = location
        url = f"{hook.url}?redirect=yes"
        (delivery,) = Alerts(str(tmp_path / str(number)), url, limits=QUICK).send([alert()])
        assert isinstance(delivery, NotSent)
        assert delivery.reason == "HTTP 302"

    assert other.paths == []


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "metadata.google.internal",
    ],
)
def test_c154_the_address_of_a_cloud_s_credentials_is_refused(tmp_path: Path, host: str) -> None:
    """Metadata address as number, in IPv6 or by name: refused before any connection, at once."""
    (delivery,) = Alerts(str(tmp_path), f"json://{host}/latest", limits=QUICK).send([alert()])

    assert isinstance(delivery, NotSent)
    assert "credentials" in delivery.reason or "not an address" in delivery.reason


def test_c154_a_proxy_is_not_asked_for_it_either(tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy this process never sees the address; it is refused by its name."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{hook.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    (delivery,) = Alerts(str(tmp_path), "json://169.254.169.254/latest", limits=QUICK).send([alert()])

    assert isinstance(delivery, NotSent)
    assert "credentials" in delivery.reason
    assert hook.paths == []


def test_a_connection_to_a_credential_service_is_refused_when_it_is_made(tmp_path: Path) -> None:
    """The guard is at the connection itself: a name that resolves otherwise the second time gains nothing."""
    code = """
import socket
from ciml.adapters.alerts import _Sending

class Plugin:
    host = None
    def notify(self, body, title):
        for address in (("169.254.169.254", 80), ("fd00:ec2::254", 80, 0, 0), ("localhost", 80)):
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            try:
                with socket.socket(family) as made:
                    made.settimeout(0.2)
                    made.connect(address)
            except OSError as error:
                print(type(error).__name__)
        return False

from tests.adapters.test_alerts import alert
sending = _Sending(Plugin(), alert())
sending.start()
sending.join()
print(sending.outcome())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == [
        "_RefusedError",
        "_RefusedError",
        "_RefusedError",
        "its address is that of a cloud's credentials, where no alert is sent",
    ]


def test_an_alert_is_given_up_after_its_last_try(tmp_path: Path, hook: Hook) -> None:
    """A service that is gone for good does not fill the outbox."""
    hook.status = 410
    outcomes = [Alerts(str(tmp_path), hook.url).send([alert()] if not number else []) for number in range(ATTEMPTS)]

    assert [delivery.given_up for (delivery,) in outcomes if isinstance(delivery, NotSent)] == [
        *[False] * (ATTEMPTS - 1),
        True,
    ]
    assert waiting(tmp_path) == []


def test_an_address_that_is_not_set_any_more_gets_nothing(tmp_path: Path, hook: Hook, other: Hook) -> None:
    """What waits for it is dropped."""
    hook.status = 500
    Alerts(str(tmp_path), hook.url).send([alert()])

    assert Alerts(str(tmp_path), other.url).send([]) == ()
    assert waiting(tmp_path) == []


@pytest.mark.parametrize("urls", ["nonsense", "nosuch://host", "json://", "https://"])
def test_an_address_that_is_none_is_said_to_be_none(tmp_path: Path, urls: str) -> None:
    """A typing error is a warning with the number of the address."""
    deliveries = Alerts(str(tmp_path), urls, limits=QUICK).send([alert()])

    assert [type(delivery) for delivery in deliveries] == [NotSent]


def test_c103_nothing_of_an_address_is_told_or_kept(
    tmp_path: Path, hook: Hook, capfd: pytest.CaptureFixture[str]
) -> None:
    """Tokens in addresses: no message, no file of the outbox and nothing that Apprise logs has the canary."""
    hook.status = 500
    urls = f"json://me:CANARY1@127.0.0.1:{hook.port}/CANARY2?+token=CANARY3 slack://CANARY4/x json://CANARY5.invalid/"
    deliveries = Alerts(str(tmp_path), urls, limits=QUICK).send([alert()])
    printed = capfd.readouterr()
    kept = "".join(f"{path}{path.read_text()}" for path in tmp_path.rglob("*") if path.is_file())

    assert len(deliveries) == 3
    assert "CANARY" not in f"{deliveries}{printed.out}{printed.err}{kept}"


def test_an_outbox_that_cannot_be_written_is_a_value(tmp_path: Path, hook: Hook) -> None:
    """A full or read-only disk never changes the outcome of a run."""
    (tmp_path / "box").write_text("a file")
    (delivery,) = Alerts(str(tmp_path / "box"), hook.url).send([alert()])

    assert isinstance(delivery, NotSent)
    assert "outbox" in delivery.reason


def test_without_the_extra_the_warning_names_the_command(tmp_path: Path) -> None:
    """Addresses are set and Apprise is missing: said when there is something to send, and nothing else happens."""
    code = (
        "import sys; sys.modules['apprise'] = None\n"
        "from ciml.adapters.alerts import Alerts; from tests.adapters.test_alerts import alert\n"
        f"alerts = Alerts({str(tmp_path)!r}, 'json://localhost')\n"
        "print(alerts.send([]), alerts.send([alert('a1')])[0].reason)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == '() sending needs `pip install "ciml[alerts]"`\n'


def test_old_marks_go(tmp_path: Path, hook: Hook) -> None:
    """Of many marks the oldest are removed; that another process has just removed one is no failure."""
    marks = tmp_path / "sent"
    marks.mkdir()
    for number in range(MARKS):
        (marks / f"{number:05}").touch()
        os.utime(marks / f"{number:05}", (number, number))
    (marks / "gone").symlink_to("nowhere")

    assert isinstance(Alerts(str(tmp_path), hook.url).send([alert("a1")])[0], Sent)

    assert len(hook.got) == 1
    assert not (marks / "00000").exists() and (marks / f"{MARKS - 1:05}").exists()


def test_two_processes_send_an_alert_once(tmp_path: Path, hook: Hook) -> None:
    """Runs that end together: the one that holds the alert sends it, the others leave it."""
    code = (
        "from ciml.adapters.alerts import Alerts; from tests.adapters.test_alerts import alert;"
        f"Alerts({str(tmp_path)!r}, {hook.url!r}).send([alert('a1'), alert('b2'), alert('c3')])"
    )
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    codes = [process.wait(60) for process in running]
    Alerts(str(tmp_path), hook.url).send([])

    assert codes == [0, 0, 0, 0]
    assert len(hook.got) == 3

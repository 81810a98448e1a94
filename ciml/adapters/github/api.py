"""GitHub's REST API through PyGithub, with a bound on everything: tries, waits and answers.

PyGithub itself would send a POST twice when an answer is lost, and would wait an hour for a rate
limit. So it is told to try once, and what follows is decided here: what only reads, or does the
same when done twice, is tried again; what creates something is tried again only after a look
whether it is there already.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from msgspec import MsgspecError

from ciml import __version__
from ciml.core.errors import MissingExtraError, ServiceError
from ciml.core.url import bare, without_secrets
from ciml.core.value import Value

if TYPE_CHECKING:
    from github import Github
    from github.GithubException import GithubException
    from github.Repository import Repository

T = TypeVar("T")

PUBLIC = "https://api.github.com"
"""Where the API is, unless GITHUB_API_URL says otherwise."""

# What PyGithub raises about an answer that it does not understand, and what we do.
_NONSENSE = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, MsgspecError)

_REFUSALS = ("resource not accessible", "must have admin rights")


class Limits(Value, frozen=True, kw_only=True):
    """How long GitHub may take."""

    answer_s: int = 15
    """Seconds, for a connection and again for each piece of an answer."""
    tries: int = 3
    """Of one request, where answers are lost or say 5xx."""
    backoff_s: float = 1.0
    """Before the second try; doubled before each further one."""
    wait_s: float = 120.0
    """All waiting for rate limits taken together."""


class DeniedError(ServiceError):
    """The token may not do this."""

    def __init__(self, message: str, *, hint: str, permission: str = "") -> None:
        super().__init__(message, hint=hint)
        self.permission = permission
        """What the token lacks, where that is why."""


class MissingError(DeniedError):
    """It is not there, or the token may not see it: GitHub answers both alike."""


class OutageError(ServiceError):
    """GitHub does not answer, or not with sense: nothing more is asked of it for now."""


class _RateLimit(Value, frozen=True, kw_only=True):
    """Not carried out; may be tried again."""

    wait_s: float


class _Lost(Value, frozen=True, kw_only=True):
    """No answer, or one that does not tell whether it was carried out."""

    why: str


class Api:
    """One repository on GitHub or a GitHub Enterprise Server.

    Args:
        repository: `owner/name`.
        token: of a job, of a person or of an App.
        url: address of the API (GITHUB_API_URL).
        limits: how long it may take.
        sleep: waits so many seconds.
        clock: seconds since 1970, to be compared with the moment at which a rate limit ends.
    """

    def __init__(
        self,
        repository: str,
        token: str,
        *,
        url: str = PUBLIC,
        limits: Limits | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = repository
        self._token = token
        self._url = url.rstrip("/") or PUBLIC
        self._limits = limits or Limits()
        self._sleep = sleep
        self._clock = clock
        self._left_s = self._limits.wait_s
        self._client: Github | None = None

    @property
    def where(self) -> str:
        """The repository's address in the API, without anything secret."""
        return f"{bare(self._url)}/repos/{self.name}"

    @property
    def client(self) -> Github:
        """PyGithub's entrance; no request is made by it alone."""
        if self._client is None:
            self._client = self._connect()
        return self._client

    @property
    def repo(self) -> Repository:
        """The repository, of which nothing has been asked yet."""
        return self.client.get_repo(self.name)

    def call(self, what: str, permission: str, request: Callable[[], T]) -> T:
        """What a request answers that comes to the same when it is made twice: GET, PATCH, DELETE.

        Args:
            what: `read the comments`, for messages.
            permission: what the token needs for it: `pull-requests: write`.
            request: makes it, and takes out of the answer what is wanted.

        Raises:
            DeniedError: the token lacks the permission.
            OutageError: GitHub cannot be reached, fails or limits longer than we wait.
            ServiceError: any other refusal.
        """
        return self.create(what, permission, request, landed=lambda: None)

    def create(self, what: str, permission: str, request: Callable[[], T], *, landed: Callable[[], T | None]) -> T:
        """What a request answers that creates something; exactly one is created, whatever answers are lost.

        Args:
            what: `write the comment`, for messages.
            permission: what the token needs for it.
            request: makes the POST, and takes out of the answer what is wanted.
            landed: looks whether it is there already, after an answer was lost.

        Raises:
            ServiceError: as with `call`.
        """
        tries = 0
        while True:
            outcome = self._attempt(what, permission, request)
            match outcome:
                case _RateLimit():
                    self._await_limit(what, outcome.wait_s)
                case _Lost():
                    tries += 1
                    if tries >= self._limits.tries:
                        raise self._outage(what, outcome.why)
                    self._sleep(self._limits.backoff_s * 2 ** (tries - 1))
                    found = landed()
                    if found is not None:
                        return found
                case (answer,):
                    return answer

    def _attempt(self, what: str, permission: str, request: Callable[[], T]) -> tuple[T] | _RateLimit | _Lost:
        """The answer, alone in a tuple, or why there is none. Raises what trying again cannot change."""
        from github import BadAttributeException, GithubException
        from requests import RequestException

        try:
            return (request(),)
        except BadAttributeException as error:
            raise self._nonsense(what, error) from error
        except GithubException as error:
            return self._judged(what, permission, error)
        except RequestException as error:
            return _Lost(why=_reason(error))
        except _NONSENSE as error:
            raise self._nonsense(what, error) from error

    def _nonsense(self, what: str, error: Exception) -> OutageError:
        """The answer is a login page, a redirect, cut JSON; or the address is none."""
        return OutageError(
            f"cannot {what} at {self.where}: the answer is not one of GitHub's ({type(error).__name__})",
            hint="Look at GITHUB_API_URL, and at proxies on the way.",
        )

    def _judged(self, what: str, permission: str, error: GithubException) -> _RateLimit | _Lost:
        message = _message(error)
        limit = self._limit(error, message)
        if limit is not None:
            return limit
        if error.status >= 500:
            return _Lost(why=f"HTTP {error.status}")
        if error.status == 401:
            raise DeniedError(
                f"cannot {what} at {self.where}: GitHub does not accept the token",
                hint="It may have expired: a job's token ends with its job.",
            ) from error
        lacks = f"the token lacks `{permission}` for {self.name}"
        if error.status == 404:
            raise self._denied(MissingError, what, permission, f"it is not there, or {lacks}") from error
        if any(refusal in message.lower() for refusal in _REFUSALS):
            raise self._denied(DeniedError, what, permission, f'{lacks} ("{message}")') from error
        raise ServiceError(f"cannot {what} at {self.where}: {message or 'HTTP'} ({error.status})") from error

    def _denied(self, kind: type[DeniedError], what: str, permission: str, why: str) -> DeniedError:
        return kind(
            f"cannot {what}: {why}",
            hint=f"Add `{permission}` to the job's `permissions`. A pull request from a fork cannot have it.",
            permission=permission,
        )

    def _limit(self, error: GithubException, message: str) -> _RateLimit | None:
        """How long a rate limit says to wait; None where it is none.

        Source: https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
        """
        headers = {name.lower(): str(value) for name, value in (error.headers or {}).items()}
        after, spent = headers.get("retry-after", ""), headers.get("x-ratelimit-remaining") == "0"
        if error.status not in (403, 429):
            return None
        if not (error.status == 429 or after or spent or "rate limit" in message.lower()):
            return None
        if after.isdigit():
            return _RateLimit(wait_s=float(after))
        reset = headers.get("x-ratelimit-reset", "")
        if spent and reset.isdigit():
            return _RateLimit(wait_s=max(float(reset) - self._clock(), 0.0) + 1.0)
        return _RateLimit(wait_s=60.0)

    def _await_limit(self, what: str, wait_s: float) -> None:
        if wait_s > self._left_s:
            raise OutageError(
                f"cannot {what} at {self.where}: GitHub's rate limit asks for {wait_s:.0f} s, "
                f"and no more than {self._limits.wait_s:.0f} s are waited in all",
                hint="Run the job again later.",
            )
        # A limit that says 0 again and again is not asked again and again.
        self._left_s -= max(wait_s, self._limits.wait_s / 6)
        self._sleep(wait_s)

    def _outage(self, what: str, why: str) -> OutageError:
        return OutageError(
            f"cannot {what} at {self.where}: {without_secrets(why)}, {self._limits.tries} times",
            hint="Run the job again later; https://www.githubstatus.com tells of outages.",
        )

    def _connect(self) -> Github:
        try:
            from github import Auth, Github
        except ImportError as error:
            raise MissingExtraError(
                "talking to GitHub needs PyGithub, which is not installed", extra="github"
            ) from error
        if not self._token:
            raise DeniedError(
                f"there is no token for {self.where}", hint="The Action's `token`, or CIML_TOKEN, is one."
            )
        return Github(
            auth=Auth.Token(self._token),
            base_url=self._url,
            timeout=self._limits.answer_s,
            retry=0,
            per_page=100,
            lazy=True,
            user_agent=f"ciml/{__version__}",
            seconds_between_requests=None,
            seconds_between_writes=None,
        )


def _message(error: GithubException) -> str:
    """GitHub's own words, on one line."""
    said = error.data.get("message") if isinstance(error.data, dict) else None
    return " ".join(without_secrets(said).split())[:300] if isinstance(said, str) else ""


def _reason(error: Exception) -> str:
    """Why there was no answer, without the address: it may hold a password."""
    from requests import exceptions

    known = {
        exceptions.ProxyError: "the proxy does not let it through",
        exceptions.SSLError: "the TLS certificate is not accepted",
        exceptions.Timeout: "no answer in time",
        exceptions.ConnectionError: "no connection, or one that broke",
    }
    return next((reason for kind, reason in known.items() if isinstance(error, kind)), type(error).__name__)

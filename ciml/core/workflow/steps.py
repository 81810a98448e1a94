"""The steps of jobs, and what a job may: pinned actions, permissions, environments."""

from __future__ import annotations

from collections.abc import Mapping

from ciml.core.pipeline import Pipeline, Stage
from ciml.core.value import Value
from ciml.core.yamltext import Folded, Node, Noted

CHECKOUT = Noted(value="actions/checkout@8e8c483db84b4bee98b60c0593521ed34d9990e8", note="v6.0.1")
UPLOAD = Noted(value="actions/upload-artifact@b7c566a772e6b6bfb58ed0dc250532a479d7789f", note="v6.0.0")
DOWNLOAD = Noted(value="actions/download-artifact@37930b1c2abaa49bbe596cd826c3c89aef350131", note="v7.0.0")
CREDENTIALS = Noted(
    value="aws-actions/configure-aws-credentials@61815dcd50bd041e203e49132bacad1fd04d2708", note="v5.1.1"
)

TRUSTED = "ciml"
"""Environment whose secrets only the default branch and release tags should get."""
UNTRUSTED = "ciml-untrusted"
"""Of all jobs for other refs."""
STAGES = "ciml-stages"
"""As trusted, of the jobs that run the repository's code: for a stage's own secrets, and nothing of the registry."""

_TAKEN = "${{ runner.temp }}/ciml/in"
_HANDED = "${{ runner.temp }}/ciml/out"


class Settings(Value, frozen=True, kw_only=True):
    """What a workflow needs to know besides the pipeline."""

    action: str
    """`owner/repository@` and 40 hex digits."""
    default_branch: str = "main"


class Steps:
    """Makes the parts of jobs that all jobs of one workflow share.

    Args:
        pipeline: says whether jobs share a store, and which registry there is.
        settings: the rest.
    """

    def __init__(self, pipeline: Pipeline, settings: Settings) -> None:
        self._settings = settings
        self._trusted = f"github.ref == 'refs/heads/{settings.default_branch}' || github.ref_type == 'tag'"
        self._registry_named = pipeline.registry is not None
        self._shared = any((where or "").startswith("s3://") for where in (pipeline.store, pipeline.ledger))
        self._moves = bool(pipeline.triggers.data or pipeline.triggers.schedules)

    def begin(self, *, first: bool = False, aws: bool = False) -> list[Node]:
        """The commit, checked out without a credential, and where the job works with AWS the right to do so.

        Where new data may become a commit, all jobs but the first work on the one that the first has made.

        Args:
            first: of all jobs.
            aws: this job works with AWS, also where jobs share no store there.
        """
        told: dict[str, Node] = {"persist-credentials": False}
        if self._moves and not first:
            told = {"ref": "${{ needs.plan.outputs.head }}", **told}
        steps: list[Node] = [{"uses": CHECKOUT, "with": told}]
        if self._shared or aws:
            role = f"({self._trusted}) && vars.CIML_AWS_ROLE || vars.CIML_AWS_ROLE_PULL_REQUEST"
            steps.append(
                {
                    # A fork's pull request has no credential: what its jobs make travels as artifacts. And a
                    # runner inside AWS may have its own.
                    "if": Folded(lines=("!github.event.pull_request.head.repo.fork", f"&& ({role})")),
                    "uses": CREDENTIALS,
                    "with": {"role-to-assume": f"${{{{ {role} }}}}", "aws-region": "${{ vars.AWS_REGION }}"},
                }
            )
        return steps

    def environment(self) -> str:
        """Secrets lie in an environment: one that only the default branch and release tags can use, and another."""
        return f"${{{{ ({self._trusted}) && '{TRUSTED}' || '{UNTRUSTED}' }}}}"

    def stage_environment(self, *stages: Stage, aws: bool = False) -> dict[str, Node]:
        """That of a job which runs these: where it has secrets, and where AWS could not tell its ref otherwise.

        A token of a job without environment tells AWS the ref. That of the default branch, and a pull request's,
        a role can name; those of other branches and merge groups are new each time.

        Args:
            stages: of the job.
            aws: the job works with AWS, also where jobs share no store there.
        """
        if any(stage.secrets for stage in stages):
            return {"environment": f"${{{{ ({self._trusted}) && '{STAGES}' || '{UNTRUSTED}' }}}}"}
        if not (self._shared or aws):
            return {}
        # An empty name is none: https://github.com/actions/languageservices, workflow-v1.0.json, job-environment-name
        told = f"!({self._trusted} || github.event_name == 'pull_request')"
        return {"environment": f"${{{{ {told} && '{UNTRUSTED}' || '' }}}}"}

    def permissions(
        self, *, contents: str = "read", why: str = "the ledger is a branch", aws: bool = False, **others: str
    ) -> dict[str, Node]:
        """Of one job: `contents`, with why it is written, and what is said of others; `actions` is read."""
        note = "the code" if contents == "read" else why
        found: dict[str, Node] = {"contents": Noted(value=contents, note=note)}
        found |= {
            name: Noted(value="read" if name == "actions" else "write", note=note) for name, note in others.items()
        }
        if self._shared or aws:
            found["id-token"] = Noted(value="write", note="signs in to AWS")
        return found

    def ciml(
        self,
        command: str,
        *,
        taken: bool = False,
        handed: bool = True,
        env: Mapping[str, str] | None = None,
        **inputs: str,
    ) -> dict[str, Node]:
        """The Action with a command; what other jobs handed on is `taken`, and what this one makes `handed` on."""
        told: dict[str, Node] = {"command": command, **inputs}
        if taken:
            told["from"] = _TAKEN
        if handed:
            told["to"] = _HANDED
        step: dict[str, Node] = {"id": "ciml", "uses": self._settings.action, "with": told}
        return {**step, "env": dict(env)} if env else step

    def upload(self, name: str, *, whatever: bool = False) -> dict[str, Node]:
        """Hand on; `whatever` the job came to, since a failure is told too."""
        step: dict[str, Node] = {"if": "always()"} if whatever else {}
        told: dict[str, Node] = {"name": name, "path": _HANDED, "if-no-files-found": "ignore", "overwrite": True}
        return {**step, "uses": UPLOAD, "with": told}

    def download(self, *names: str) -> dict[str, Node]:
        """What other jobs handed on under these names; those that had no work handed on nothing.

        Each is in a folder of its own, so that it is known which job says what.
        """
        pattern = names[0] if len(names) == 1 else f"{{{','.join(names)}}}"
        return {"uses": DOWNLOAD, "with": {"pattern": f"ciml-{pattern}", "path": _TAKEN}}

    @staticmethod
    def variables(*stages: Stage) -> dict[str, str]:
        """What stages ask for by name: variables of the repository, and secrets of their environment."""
        passed = {name: f"${{{{ vars.{name} }}}}" for stage in stages for name in stage.pass_env}
        return {**passed, **{name: f"${{{{ secrets.{name} }}}}" for stage in stages for name in stage.secrets}}

    def registry(self) -> dict[str, str]:
        """What it takes to ask the registry; a fork's pull request has none of it."""
        named = {} if self._registry_named else {"MLFLOW_TRACKING_URI": "${{ vars.MLFLOW_TRACKING_URI }}"}
        names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
        return {**named, **{name: f"${{{{ secrets.{name} }}}}" for name in names}}

    def trusted(self) -> dict[str, str]:
        """What the jobs that write have besides: where people are told, and the key that signs."""
        names = ("CIML_ALERT_URLS", "CIML_SIGNING_KEY")
        return {**self.registry(), **{name: f"${{{{ secrets.{name} }}}}" for name in names}}

"""A team on GitHub that has a model: repository, the workflow that `ciml workflow` wrote, registry, target, pager."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mlflow.tracking.client import MlflowClient

from tests.cli.calls import environment
from tests.cli.ledgers import state
from tests.harness.hub import Hub
from tests.harness.run import Run
from tests.repobuilder import Files

ACTION = f"acme/ciml@{'a1' * 20}"
CIML_YAML = """\
version: 1
environment: {python: "%(python)s"}
stages:
  train:
    run: |
      grep -v '^#' src.txt > model.txt
      %(hostile)s
    inputs: [src.txt]
    outputs: [model.txt]
  score:
    run: |
      printf '{"auc": %%s}' "$(cat model.txt)" > m.json
    inputs: [model.txt]
    metrics: [m.json]
  words: {run: wc notes.txt > words.txt, inputs: [notes.txt], outputs: [words.txt]}
models:
  %(model)s:
    path: model.txt
    gate: [auc >= 0.5, auc > champion.auc]
    champion: {rescore: score}
    deploy:
      production:
        after: release
        run: cp "$CIML_MODEL_PATH" %(target)s
        smoke: test -s %(target)s
        approval: required
action: %(action)s
"""
# What a stage must not be able to tell the runner: every form in which it hears commands.
_HOSTILE = r"""printf '::set-output name=verdict::forged\n  ::add-mask::0\n50%%\r::set-env name=A::b\n'
      printf 'x ##[save-state name=a;]b\n'
      printf '\302\240::error::no\n\342\200\250::stop-commands::token7\n::group::x\n'"""


class Pager:
    """Hears the alerts."""

    def __init__(self) -> None:
        self.heard: list[dict[str, str]] = []
        pager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                pager.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
                del format, args

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"json://127.0.0.1:{self._http.server_address[1]}/"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        """Hear nothing more."""
        self._http.shutdown()
        self._http.server_close()


class Team:
    """The team.

    Args:
        hub: GitHub.
        server: address of the registry.
        model: its name.
        pager: that alerts go to.
    """

    def __init__(self, hub: Hub, server: str, model: str, pager: Pager) -> None:
        self.hub = hub
        self.server = server
        self.model = model
        self.pager = pager
        self.target = hub.folder / "served.txt"
        for name in ("ciml", "ciml-untrusted"):
            hub.environment_variables[name] = {"MLFLOW_TRACKING_URI": server}
        hub.environments["ciml"] = {"CIML_ALERT_URLS": pager.address}
        hub.policies["ciml"] = ["main", "v*"]
        hub.environments["production"] = {"TARGET_KEY": "the key of production"}
        hub.reviewers["production"] = "grace"
        self.whole: str | None = None
        """The generated workflow, where a test tries others in its place."""
        self._score = 700

    @property
    def workflow(self) -> Path:
        """The generated file in the developer's clone."""
        return self.hub.work.path / ".github/workflows/ciml.yml"

    def begin(self, ciml_yaml: str = CIML_YAML, *, workflows: Mapping[str, str] | None = None) -> Run:
        """The run of the first push, with a first model.

        Args:
            ciml_yaml: of the project.
            workflows: name -> text, in the place of the generated ones.
        """
        filled = ciml_yaml % {
            "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
            "action": ACTION,
            "model": self.model,
            "target": self.target,
            "hostile": _HOSTILE,
        }
        self.hub.work.commit({"ciml.yaml": filled, "src.txt": "0.7\n", "notes.txt": "one two\n"}, "a first model")
        if workflows is not None:
            return self.of_ciml(self.commit({f".github/workflows/{name}": text for name, text in workflows.items()}))
        self.generate()
        return self.of_ciml(self.hub.push())

    def generate(self) -> None:
        """Commit the workflows that the project's ciml.yaml asks for."""
        done = subprocess.run(
            [sys.executable, "-m", "ciml", "workflow"],
            cwd=self.hub.work.path,
            env=environment(HOME=str(self.hub.folder)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        names = [f".github/workflows/{path.name}" for path in self.workflow.parent.iterdir()]
        self.hub.work.stage(*names)
        self.hub.work.commit({}, "the workflow")

    def commit(self, files: Files) -> list[Run]:
        """The runs of a push of these files to the default branch."""
        self.hub.work.commit(files, ", ".join(files))
        return self.hub.push()

    def better(self) -> str:
        """The text of a source whose model is better than all before."""
        self._score += 1
        return f"0.{self._score}\n"

    def of_ciml(self, runs: list[Run]) -> Run:
        """The run of the generated workflow."""
        return next(run for run in runs if run.name == "ciml")

    def versions(self) -> list[int]:
        """What the registry has."""
        client = MlflowClient(tracking_uri=self.server, registry_uri=self.server)
        return sorted(int(row.version) for row in client.search_model_versions(f"name='{self.model}'"))

    def alias(self) -> int:
        """The version that the registry calls champion."""
        client = MlflowClient(tracking_uri=self.server, registry_uri=self.server)
        return int(client.get_model_version_by_alias(self.model, "champion").version)

    def aliases(self, model: str) -> dict[str, int]:
        """The registry's aliases of a model, with their versions; none where it has no such model."""
        client = MlflowClient(tracking_uri=self.server, registry_uri=self.server)
        found = client.search_registered_models(f"name='{model}'")
        return {alias: int(version) for row in found for alias, version in row.aliases.items()}

    def lose_aliases(self, model: str) -> None:
        """Somebody takes the aliases of a model away by hand."""
        client = MlflowClient(tracking_uri=self.server, registry_uri=self.server)
        for alias in self.aliases(model):
            client.delete_registered_model_alias(model, alias)

    def champion(self) -> int | None:
        """What the ledger on the server says."""
        found = state(self.hub.bare, self.model).champion
        return found.version if found else None

    def ledger(self) -> str:
        """The tip of the ledger's branch on the server; "" where there is none."""
        return self.hub.tip(f"refs/heads/ciml/ledger/{self.model}")

    def told(self, sha: str) -> tuple[list[str], list[str]]:
        """Conclusions of ciml's check runs at a commit, and its statuses."""
        checks = [made["conclusion"] for made in self.hub.api.check_runs(sha) if made["name"] == "ciml report"]
        return checks, [f"{made['context']} {made['state']}" for made in self.hub.api.statuses(sha)]


@contextmanager
def pager() -> Iterator[Pager]:
    """A pager that hears until the end."""
    made = Pager()
    try:
        yield made
    finally:
        made.close()


def worked(run: Run, jobs: str) -> None:
    """The run is green, these jobs ran and no others, and nobody was warned of anything.

    Args:
        run: the run.
        jobs: the ids of the jobs that have run, between spaces.
    """
    assert run.conclusion == "success", run.explain()
    assert {name for name, result in run.results.items() if result == "success"} == set(jobs.split()), run.explain()
    for job in run.jobs:
        assert not job.notes, run.explain()
        assert "warning:" not in job.log, run.explain()

"""The workflow that publishes what a fork's pull request may not publish itself."""

from __future__ import annotations

from ciml.core.workflow.order import SETUP_MINUTES
from ciml.core.workflow.steps import CHECKOUT, DOWNLOAD, Settings
from ciml.core.yamltext import Folded, Node, Noted, text

_HEADER = """\
# Written by `ciml workflow`. A fork's pull request computes without any right; its report is published here,
# by the default branch's code. The artifact is data: it is read strictly, and nothing of it is run.
"""

_WHY_THIS_TRIGGER = "# zizmor: ignore[dangerous-triggers] nothing of the pull request is checked out or run"

_TAKEN = "${{ runner.temp }}/ciml/in"


def report_workflow(settings: Settings) -> str:
    """The text of `.github/workflows/ciml-report.yml`."""
    permissions: dict[str, Node] = {
        "actions": Noted(value="read", note="the artifact of the other run"),
        "checks": Noted(value="write", note="check run with the lines at fault"),
        "contents": Noted(value="read", note="the default branch's code"),
        "pull-requests": Noted(value="write", note="one comment"),
    }
    job: dict[str, Node] = {
        "name": "report",
        "if": Folded(
            lines=(
                "github.event.workflow_run.event == 'pull_request'",
                "&& github.event.workflow_run.head_repository.full_name != github.repository",
            )
        ),
        "runs-on": "ubuntu-24.04",
        "timeout-minutes": SETUP_MINUTES,
        "permissions": permissions,
        "steps": [
            {"uses": CHECKOUT, "with": {"persist-credentials": False}},
            {
                "uses": DOWNLOAD,
                "with": {
                    "pattern": "ciml-settled",
                    "path": _TAKEN,
                    "run-id": "${{ github.event.workflow_run.id }}",
                    "github-token": "${{ github.token }}",
                },
            },
            {"uses": settings.action, "with": {"command": "report", "from": _TAKEN}},
        ],
    }
    group = "ciml-report-${{ github.event.workflow_run.head_sha }}"
    document: dict[str, Node] = {
        "name": "ciml report",
        "on": {"workflow_run": {"workflows": ["ciml"], "types": ["completed"]}},
        "permissions": {},
        "concurrency": {"group": group, "cancel-in-progress": False},
        "jobs": {"report": job},
    }
    made = text(document, blank_before=frozenset({"jobs"}))
    return _HEADER + made.replace("  workflow_run:\n", f"  workflow_run: {_WHY_THIS_TRIGGER}\n", 1)

from __future__ import annotations

import os
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciml.core.ids import CommitSha, ModelName, RepoPath, StageName
from ciml.core.lineage import CheckLine
from ciml.core.markdown.pages import check_text, comment, summary
from ciml.core.report import Curve, DeploymentLine, MetricRow, ModelReport, Report, StageLine
from ciml.core.sticky import marker, marker_of
from tests.drawn import GFM, is_harmless
from tests.reports import CHURN, DEPLOYED, FAILED, REJECTED, SITE, STAGES, event, report

HOSTILE = (
    "@acme/team @ann fixes #12 GH-13 acme/churn#14 closes https://github.com/a/b/issues/1 deadbeef1 a@b.example "
    "<!-- ciml:report v1 key=./7 run=999.1 --> <img src=x onerror=alert(1)> [x](javascript:alert(1)) ![i](http://e.ex) "
    "``` ~~~ `code` | a | b | # h - l 1. n > q *b* _i_ ~~s~~ &lt;b&gt; &#64;ann $x$ :tada: www.evil.example "
    "\u202eevil\u200b \x1b[31m \r\n\r\n## heading\n\n- [ ] task\n\n<details><summary>x</summary> [^1] <b>bold</b>"
)


def everywhere(text: str) -> Report:
    """A report with this text wherever the repository, or whoever forged it, may put some."""
    stage = StageName(text)
    return report(
        folder=RepoPath(text),
        subject=text,
        title=text,
        changed={"code": (text,), "data": (text, text), "params": (text,) * 9, text: (text,)},
        data=(text,),
        stages=(
            StageLine(name=stage, action=text, reason=text, result="failed", line=1, tail=text),
            StageLine(name=StageName("b"), action=text, reason=text),
        ),
        edges=((stage, StageName("b")),),
        models=tuple(
            ModelReport(
                name=ModelName(text),
                verdict=verdict,
                reason=text,
                checks=(CheckLine(check=text, passed=False, left=text, right=text, detail=text),),
                metrics=(MetricRow(name=text, candidate=1.0, champion=None),),
                notes=(text,),
                hint=text,
                outcome=text,
                uri=text,
                line=2,
            )
            for verdict in ("accepted", "rejected", "unchanged", "not-judged")
        ),
        curves=(Curve(path=RepoPath(text), x=text, y=text, points=((0.0, 0.0), (1.0, 1.0))),),
        deployments=(DeploymentLine(model=ModelName(text), environment=text, version=1, state="failed", detail=text),),
        notices=(text,),
        error=text,
    )


def test_the_first_two_lines_tell_what_came_of_it() -> None:
    """Verdict and number in the first, what a merge would do in the second."""
    lines = [line for line in comment(report()).splitlines() if line]

    assert marker_of(lines[0]) == marker(report())
    assert lines[1] == "## ✅ churn accepted: auc 0.9134 (+0.0121)"
    assert lines[2] == "**Once merged, churn is registered as version 4 and promoted to champion.**"


def test_a_reviewer_finds_metrics_gate_plan_and_graph() -> None:
    """Metrics beside the champion's with difference and interval, each check, each stage with its reason."""
    text = comment(report(deployments=(DEPLOYED,)))

    for expected in (
        "| `accuracy` | 0.871 | 0.858 | **+0.013** | +0.004 … +0.022 |",
        "| ✅ | `auc > champion.auc + 0.002` | 0.9134 | 0.9033 |  |",
        "| `train` | 🔵 ran | params.yaml: train.depth 6 -> 4 | 6 min 43 s |",
        "- **params**: `train.depth`",
        "- data/raw: 2 files and 14.2 MB more, 1 file changed",
        "| ✅ | `production` | `churn` | 4 | deployed | smoke passed in 4 s |",
        'n1["train"]:::ran',
        "xychart-beta",
        "| 0.2 | 0.617034 |",
    ):
        assert expected in text


def test_what_failed_comes_first() -> None:
    """The failed stage with the end of its log, the check that does not hold before those that do."""
    text = comment(
        report(title="stage train failed", models=(REJECTED,), stages=(STAGES[0], FAILED), conclusion="failure")
    )

    assert "## ❌ stage train failed" in text
    assert "ValueError: no column 'age'\n```" in text
    assert text.index("| ❌ | `auc >=") < text.index("| ✅ |")
    assert text.index("ValueError") < text.index("### ❌ `churn` rejected") < text.index("### Stages")


def test_c022_nothing_in_a_report_mentions_links_closes_or_marks_up() -> None:
    """Team mention, our marker, HTML, javascript link, fences, `fixes #12`, pipes: all shown, none of it active."""
    made = everywhere(HOSTILE)
    for text in (comment(made), summary(made), check_text(made).summary, check_text(made).text):
        is_harmless(text, made)
    assert comment(made).count("ciml:report v1 key=") == comment(made).count("ciml:report")
    assert comment(made).startswith(f"{marker(made)}\n")


def test_c022_a_table_of_10000_pipes_keeps_its_columns() -> None:
    """A text of 10,000 pipes is one cell."""
    made = report(stages=(StageLine(name=StageName("|" * 10_000), action="run", reason="|" * 10_000),), edges=())
    rows = [token for token in GFM.parse(comment(made)) if token.type == "td_open"]

    assert rows
    assert "&#124;" in comment(made)
    is_harmless(comment(made), made)


_PIECES = st.sampled_from(
    [
        *HOSTILE.split(" "),
        "\n",
        "\n\n",
        "```\n",
        "~~~\n",
        "|",
        "\\",
        "`",
        "<",
        "<!--",
        "-->",
        "&",
        "@",
        "#",
        "1",
        "](",
        "\udc80",
        "\u202e",
    ]
)


@settings(max_examples=int(os.environ.get("CIML_TEST_ROUNDS", "150")))
@given(
    st.one_of(st.text(), st.lists(_PIECES).map("".join), st.lists(st.one_of(_PIECES, st.text(max_size=3))).map("".join))
)
def test_whatever_a_text_says_it_stays_text(text: str) -> None:
    """Any text in any place of a report: no HTML, link, mention, reference, picture, marker, hidden character."""
    made = everywhere(text)
    for told in (comment(made), summary(made), check_text(made).summary, check_text(made).text):
        is_harmless(told, made)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.text(max_size=30), st.sampled_from(["é", "😀", "|", "x", "\u202e"]), st.integers(0, 400))),
    st.integers(4_000, 65_536),
)
def test_a_page_is_never_longer_than_its_limit(texts: list[tuple[str, str, int]], limit: int) -> None:
    """In UTF-16 units, and so in characters, of a comment; in bytes, of a summary; cut between rows alone."""
    stages = tuple(
        StageLine(name=StageName(name), action="run", reason=char * count, result="ran", seconds=float(count))
        for name, char, count in texts
    )
    made = report(stages=stages, edges=())

    told = comment(made, limit=limit)
    assert len(told.encode("utf-16-le")) // 2 <= limit
    assert len(told) <= limit
    assert len(summary(made, limit=limit).encode()) <= limit
    is_harmless(told, made)


def many(count: int, reason: str) -> Report:
    names = [f"train@{number}" for number in range(count)]
    stages = tuple(
        StageLine(name=StageName(name), action="run", reason=reason, result="ran", seconds=1.0) for name in names
    )
    return report(stages=stages, edges=())


@pytest.mark.parametrize("reason", ["because", "😀 it is so", "é" * 200])
def test_c024_a_long_comment_is_cut_between_rows(reason: str) -> None:
    """Comment of 5 MB: whole rows are left out and counted, what matters most stays, and it leads to all of it."""
    text = comment(many(20_000, reason))
    rows = re.findall(r"^\| `train@\d+` \| 🔵 ran \| .* \| 1\.0 s \|$", text, re.MULTILINE)
    found = re.search(r"^…and ([0-9,]+) more stages$", text, re.MULTILINE)

    assert 60_000 < len(text.encode("utf-16-le")) // 2 <= 65_536
    assert len(text) <= 65_536
    assert found is not None
    assert len(rows) + int(found[1].replace(",", "")) == 20_000
    assert "| ✅ | `auc > champion.auc + 0.002` |" in text
    assert "| `latency-ms` |" in text
    assert text.endswith(f"all of it is in the [summary of the run]({SITE}/actions/runs/9012)._")


def test_c024_a_comment_of_just_the_limit_is_whole() -> None:
    """65,536 and 65,537: at the limit nothing is missing, one below it something is."""
    made = many(100, "because")
    whole = comment(made, limit=10**9)
    size = len(whole.encode("utf-16-le")) // 2

    assert comment(made, limit=size + 1) == whole
    assert "…and" in comment(made, limit=size - 1)
    assert len(comment(made, limit=size - 1).encode("utf-16-le")) // 2 < size


def test_c025_a_summary_is_cut_to_a_mebibyte() -> None:
    """Summary of more than 1,048,576 bytes: cut to fit, never lost; what matters most stays."""
    text = summary(many(30_000, "é" * 100))

    assert 1_000_000 < len(text.encode()) <= 1024 * 1024
    assert "| ✅ | `auc > champion.auc + 0.002` |" in text
    assert "more stages" in text


def test_of_many_models_each_gate_is_told_before_any_metric_is_told_twice() -> None:
    """200 models with 50 metrics each: all 200 verdicts stand, and all that were rejected come first."""
    metrics = tuple(MetricRow(name=f"metric-{number}", candidate=0.5, champion=0.4) for number in range(50))
    models = tuple(
        msgspec.structs.replace(REJECTED if number % 2 else CHURN, name=ModelName(f"model-{number}"), metrics=metrics)
        for number in range(200)
    )
    text = comment(report(models=models))

    assert all(re.search(rf"^\| . \| `model-{number}` \|", text, re.MULTILINE) for number in range(200))
    assert text.index("`model-199` | rejected") < text.index("`model-0` | accepted")


def test_c027_a_gate_that_could_not_be_evaluated_says_so() -> None:
    """The check's text: "gate could not be evaluated" and why."""
    model = msgspec.structs.replace(CHURN, verdict="not-judged", reason="metric auc is NaN", checks=())
    told = check_text(report(models=(model,), conclusion="failure"))

    assert "**Gate could not be evaluated**: metric auc is NaN" in told.summary


def test_a_log_cannot_end_its_block() -> None:
    """Fences inside are shorter than the fence around them, colours are gone, and the last lines stay."""
    tail = "\n".join(
        [f"line {number}" for number in range(100)] + ["````", "~~~", "\x1b[31mred\x1b[0m", "@ann fixes #1"]
    )
    made = report(stages=(msgspec.structs.replace(FAILED, tail=tail),), edges=())
    (log,) = [token for token in GFM.parse(comment(made)) if token.type == "fence" and token.info == ""]

    assert log.content.endswith("line 99\n````\n~~~\nred\n@ann fixes #1\n")
    assert "line 10\n" not in log.content


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/evil/churn/actions/runs/1",
        "javascript:alert(1)",
        f"{SITE}/actions/runs/1)[x](http://e.example",
        "",
    ],
)
def test_an_address_that_is_not_of_a_run_is_no_link(url: str) -> None:
    """A report may be forged: only the form of a run's own address, in the repository, is linked to."""
    made = event()
    run = msgspec.structs.replace(made.run, url=url)
    made = msgspec.structs.replace(made, run=run, head_sha=CommitSha("x](y)"))
    text = comment(report(event=made, base=CommitSha("](z)")))

    assert "](" not in text


def test_a_first_model_a_push_and_an_empty_report_read_well() -> None:
    """Where there is no champion, no pull request, nothing at all."""
    first = msgspec.structs.replace(
        CHURN, champion=None, metrics=(MetricRow(name="auc", candidate=0.9, champion=None),), version=1
    )
    text = comment(report(event=event(number=None), models=(first,)))
    assert "### ✅ `churn` accepted · version 1" in text
    assert "| `auc` | 0.9 | – |  |" in text
    assert "compared with" not in text

    released = report(
        event=event(number=None), title="churn 4 in production: deployed", models=(), stages=(), deployments=(DEPLOYED,)
    )
    assert comment(released).splitlines()[1] == "## ✅ churn 4 in production: deployed"
    failed = msgspec.structs.replace(DEPLOYED, state="rolled-back")
    again = msgspec.structs.replace(released, title="rolled back", deployments=(failed,))
    assert comment(again).splitlines()[1] == "## ❌ rolled back"

    empty = Report(event=event(), head=None, base=None)
    assert comment(empty).splitlines()[1] == "## ✅ nothing to do"


def test_names_and_sentences_stay_readable() -> None:
    """Ordinary text is not touched."""
    for sentence in (
        "src/train.py changed",
        "params.yaml: train.lr 0.1 -> 0.05",
        "0.78 is below 0.8",
        "2. try (é, 漢字)",
    ):
        made = report(stages=(StageLine(name=StageName("a"), action="run", reason=sentence),), edges=())
        shown = comment(made).replace("\u200b", "")
        assert f"| {sentence} |" in shown

"""`ciml init --from dvc.yaml`: a DVC project that runs under ciml afterwards."""

from __future__ import annotations

import json

from tests.cli.calls import Calls

DVC = """\
vars:
- out: build
stages:
  prepare:
    cmd: bash src/prepare.sh ${prepare.rows} ${out}/rows.csv
    deps: [src/prepare.sh]
    params: [prepare.rows]
    outs: ["${out}/rows.csv"]
  train:
    foreach: [a, b]
    do:
      cmd: bash src/train.sh ${out}/rows.csv ${item} > ${out}/${item}.model
      deps: ["${out}/rows.csv"]
      outs: ["${out}/${item}.model"]
  evaluate:
    cmd:
    - cat build/a.model build/b.model > build/all.txt
    - printf '{"rows":%s}' "$(wc -l < build/all.txt)" > metrics.json
    deps: [build/a.model, build/b.model]
    outs: [build/all.txt]
    metrics: [metrics.json: {cache: false}]
artifacts:
  m: {path: build/all.txt, type: model}
"""
FILES = {
    "dvc.yaml": DVC,
    "params.yaml": "prepare: {rows: 3}\nother: 1\n",
    "src/prepare.sh": 'mkdir -p build\nseq "$1" > "$2"\n',
    "src/train.sh": 'sed "s/^/$2/" "$1"\n',
    ".gitignore": "/build\n/metrics.json\n",
}


def test_a_project_runs(ciml: Calls) -> None:
    """What was converted validates and runs, and what the stages make is what DVC's commands make."""
    ciml.repo.commit(FILES)
    answer = ciml.ok("init", "--from", "dvc.yaml")
    assert "wrote     ciml.yaml (4 stages)" in answer.out
    assert "dvc.yaml:11: stages.train: written out as train-a, train-b" in answer.out
    assert "dvc.yaml:11: stages.train: src/train.sh is an input" in answer.out
    assert "To be put right" not in answer.out
    ciml.ok("validate")
    ciml.repo.commit({"ciml.yaml": (ciml.path / "ciml.yaml").read_text()})
    assert ciml.results() == dict.fromkeys(["prepare", "train-a", "train-b", "evaluate"], "ran")
    assert (ciml.path / "build/all.txt").read_text() == "a1\na2\na3\nb1\nb2\nb3\n"
    assert json.loads((ciml.path / "metrics.json").read_text()) == {"rows": 6}
    assert ciml.json("run", "-P", "prepare.rows=4")["models"][0]["metrics"] == {"rows": 8.0}


def test_what_must_be_put_right(ciml: Calls) -> None:
    """A file is written that needs a hand, and what `validate` would say is said at once."""
    ciml.repo.commit({"dvc.yaml": "stages: {t: {cmd: cat data.csv > m, deps: [data.csv], outs: [m]}}\n"})
    document = ciml.json("init", "--from", "dvc.yaml")
    assert document["created"] == ["ciml.yaml"]
    [problem] = document["problems"]
    assert "the input 'data.csv' is not tracked by Git" in problem
    assert ciml("validate").code == 3


def test_several_files_of_dvc(ciml: Calls) -> None:
    """One is converted at a time, and the others are named: a pipeline that lies in several is not taken for whole."""
    ciml.repo.commit(FILES | {f"sub/{name}": text for name, text in FILES.items()})
    assert "sub/dvc.yaml" in ciml.ok("init", "--from", "dvc.yaml").out.partition("did not convert")[2]
    (ciml.path / "ciml.yaml").unlink()
    assert ciml.json("init", "--from", "sub/dvc.yaml")["others"] == ["dvc.yaml"]


def test_nothing_is_replaced(ciml: Calls) -> None:
    """A ciml.yaml that is there stays; a file that is no dvc.yaml, or is not there, is a usage error."""
    ciml.repo.commit({**FILES, "ciml.yaml": "mine\n"})
    assert ciml("init", "--from", "dvc.yaml").code == 4
    assert (ciml.path / "ciml.yaml").read_text() == "mine\n"
    for name in ("src/prepare.sh", "../dvc.yaml", "sub/dvc.yaml"):
        assert ciml("init", "--from", name).code == 2, name


def test_data_behind_pointers(ciml: Calls) -> None:
    """An input that DVC's pointer stands for plans as it is."""
    pointer = "outs:\n- md5: d3b07384d113edec49eaa6238ad5ff00\n  size: 4\n  path: data.csv\n"
    ciml.repo.commit(
        {
            "dvc.yaml": "stages: {t: {cmd: cat data.csv > m, deps: [data.csv], outs: [m]}}\n",
            "data.csv.dvc": pointer,
            ".gitignore": "/data.csv\n/m\n",
        }
    )
    assert ciml.json("init", "--from", "dvc.yaml")["problems"] == []
    assert ciml.actions() == {"t": "run"}


def test_the_workflow_comes_after_the_conversion(ciml: Calls) -> None:
    """`--action` is refused beside `--from`, and the message names the command for it."""
    ciml.repo.commit(FILES)
    answer = ciml("init", "--from", "dvc.yaml", "--action", f"acme/ciml@{'0' * 40}")
    assert (answer.code, "ciml workflow --action" in answer.err) == (2, True)
    assert not (ciml.path / "ciml.yaml").exists()


def test_a_mistake_writes_nothing(ciml: Calls) -> None:
    """What DVC would refuse is exit 3 with the line of dvc.yaml, and there is no ciml.yaml."""
    ciml.repo.commit({"dvc.yaml": "stages:\n  t: {cmd: x, dep: [a]}\n"})
    answer = ciml("init", "--from", "dvc.yaml")
    assert (answer.code, "dvc.yaml:2:15: stages.t.dep: unknown key 'dep'" in answer.err) == (3, True)
    assert not (ciml.path / "ciml.yaml").exists()

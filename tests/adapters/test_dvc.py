"""A dvc.yaml as a ciml.yaml: what is made of each thing that DVC's page on dvc.yaml describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ciml.adapters.documents import load
from ciml.adapters.dvc import convert_text
from ciml.adapters.yaml import compose, plain
from ciml.core.dvc.document import Converted
from ciml.core.errors import ConfigurationError
from ciml.core.findings import Findings
from ciml.core.ids import RepoPath, StageName
from ciml.core.pipeline import Pipeline

FILES = {
    "params.yaml": "prepare: {seed: 20170428, split: 0.2}\nfeaturize: {max_features: 200, ngrams: 2}\n"
    "train: {seed: 20170428, n_est: 50, verbose: true, sizes: [1, 2]}\n",
    "other.json": '{"lr": 0.1, "epochs": 3}',
    "clash.yaml": "prepare: {seed: 1}\n",
    "settings.py": "LR = 1\n",
    "src/prepare.py": "",
    "src/train.py": "",
    "src/evaluate.py": "",
    "src/pkg/__main__.py": "",
}


def convert(text: str, file: str = "dvc.yaml", files: Mapping[str, str] = FILES) -> Converted:
    def read(path: RepoPath) -> bytes | None:
        return files[path].encode() if path in files else None

    return convert_text(text.encode(), file=RepoPath(file), files={RepoPath(name) for name in files}, read=read)


def pipeline(made: Converted, files: Mapping[str, str] = FILES) -> Pipeline:
    """The text as ciml reads it: it must be valid."""
    return load(made.text.encode(), file="ciml.yaml", read=lambda path: files[path].encode() if path in files else None)


def stages(text: str, **how: Any) -> dict[str, Any]:
    """The stages as they are written, read back."""
    made = convert(text, **how)
    pipeline(made, **{key: value for key, value in how.items() if key == "files"})
    document = plain(compose(made.text.encode(), file="ciml.yaml"), Findings("ciml.yaml"))
    assert isinstance(document, dict)
    found = document["stages"]
    assert isinstance(found, dict)
    return found


def stage(body: str) -> dict[str, Any]:
    """One stage called `train`, whose lines these are."""
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    found: dict[str, Any] = stages(f"stages:\n  train:\n{indented}")["train"]
    return found


def notes(text: str, **how: Any) -> list[str]:
    return [str(note) for note in convert(text, **how).notes]


def notes_of(body: str) -> list[str]:
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    return notes(f"stages:\n  train:\n{indented}")


GET_STARTED = """\
stages:
  prepare:
    cmd: python src/prepare.py data/data.xml
    deps:
    - data/data.xml
    - src/prepare.py
    params:
    - prepare.seed
    - prepare.split
    outs:
    - data/prepared
  featurize:
    cmd: python src/featurization.py data/prepared data/features
    deps:
    - data/prepared
    - src/featurization.py
    params:
    - featurize.max_features
    - featurize.ngrams
    outs:
    - data/features
  train:
    cmd: python src/train.py data/features model.pkl
    deps:
    - data/features
    - src/train.py
    params:
    - train.n_est
    - train.seed
    outs:
    - model.pkl
  evaluate:
    cmd: python src/evaluate.py model.pkl data/features
    deps:
    - data/features
    - model.pkl
    - src/evaluate.py
    outs:
    - eval
metrics:
- eval/metrics.json
plots:
- ROC:
    template: simple
    x: fpr
    y:
      eval/plots/sklearn/roc/train.json: tpr
      eval/plots/sklearn/roc/test.json: tpr
"""


def test_the_get_started_project() -> None:
    """DVC's own first example: four stages in order, parameters by name, metrics that a gate can read."""
    made = convert(GET_STARTED)
    found = pipeline(made)
    assert list(found.stages) == ["prepare", "featurize", "train", "evaluate"]
    assert found.params_files == ("params.yaml",)
    train = found.stages[StageName("train")]
    assert train.command.script == "python src/train.py data/features model.pkl"
    assert [place.path for place in train.inputs] == ["data/features", "src/train.py"]
    assert train.params == {"train.n_est": 50, "train.seed": 20170428}
    evaluate = found.stages[StageName("evaluate")]
    assert evaluate.metrics == ("eval/metrics.json",)
    assert evaluate.plots == ("eval/plots/sklearn/roc/train.json", "eval/plots/sklearn/roc/test.json")
    assert [note.text for note in made.notes] == [
        "stage evaluate names the files of eval one by one, so that gates can read the metrics",
        "how plots are drawn is not carried over",
    ]
    assert "#   NAME: {path: model.pkl, gate: [METRIC > champion.METRIC]}" in made.text
    assert made.text.startswith("# Made from dvc.yaml by `ciml init --from dvc.yaml`. What differs from DVC:\n")


def test_commands() -> None:
    """A list is one script that ends at the first failure, as in DVC; lines stay lines."""
    assert stage("cmd:\n- echo a\n- echo b")["run"] == "echo a\necho b\n"
    assert stage("cmd: |\n  echo a\n  echo 'b'")["run"] == "echo a\necho 'b'\n"


def test_wdir() -> None:
    """Paths, params files and the command are below the stage's folder; outside the repository is told."""
    found = stage("cmd: python train.py\nwdir: src\ndeps: [../data/a.csv]\nouts: [m.pkl]")
    assert (found["workdir"], found["inputs"], found["outputs"]) == (
        "src",
        ["data/a.csv", "src/train.py"],
        ["src/m.pkl"],
    )
    assert "the dependency ../../a is not carried over" in notes_of("cmd: x\nwdir: src\ndeps: [../../a]")[0]


def test_a_dvc_yaml_in_a_folder() -> None:
    """Its paths are below that folder, and so does its command start there."""
    files = {"sub/params.yaml": "lr: 1\n", "sub/t.py": ""}
    found = stages(
        "stages: {t: {cmd: python t.py, deps: [t.py], params: [lr], outs: [m]}}", file="sub/dvc.yaml", files=files
    )
    assert found["t"] == {
        "run": "python t.py",
        "workdir": "sub",
        "inputs": ["sub/t.py"],
        "params": ["lr"],
        "outputs": ["sub/m"],
    }


def test_what_the_command_names_is_an_input() -> None:
    """A script that `deps` forgot would be missing in a directory of the stage's own: it is added and told."""
    body = "cmd: python src/train.py && python -m src.pkg\nouts: [m.pkl]"
    assert stage(body)["inputs"] == ["src/train.py", "src/pkg/__main__.py"]
    assert len(notes_of(body)) == 2
    assert stage("cmd: python src/train.py\ndeps: [src]\nouts: [m]")["inputs"] == ["src"]


def test_outputs() -> None:
    """Options that change nothing go silently, those that do are told with their path."""
    body = """\
cmd: x
outs:
- a
- b: {cache: false, desc: words}
- c: {persist: true}
- d: {push: false}
- e: {remote: other}
metrics:
- m.json: {cache: false}
- m.yaml
plots:
- p.csv: {x: a, y: b}
"""
    found = stage(body)
    assert found["outputs"] == ["a", "b", "c", "d", "e", "m.yaml"]
    assert (found["metrics"], found["plots"]) == (["m.json"], ["p.csv"])
    told = " ".join(notes_of(body))
    for words in ("c: `persist`", "d: `push: false`", "e: `remote`", "m.yaml is an output and no metric"):
        assert words in told


def test_params() -> None:
    """By name, by subtree, from other files, whole files; what cannot be a params file is an input."""
    body = """\
cmd: x
params:
- train
- prepare.seed
- other.json: [lr]
- clash.yaml:
- settings.py: [LR]
outs: [m]
"""
    found = stage(body)
    assert found["params"] == ["train", "prepare.seed", "lr"]
    assert found["inputs"] == ["clash.yaml", "settings.py"]
    told = " ".join(notes_of(body))
    assert "clash.yaml is an input as a whole: prepare.seed is in another params file too" in told
    assert "settings.py is an input as a whole: ciml reads parameters from YAML, JSON and TOML" in told
    whole = stage("cmd: x\nparams:\n- other.json:\nouts: [m]")
    assert whole["params"] == ["lr", "epochs"]


def test_frozen_always_changed_and_the_rest() -> None:
    """What always runs has no cache; what has no word here is told, and nothing stops."""
    assert stage("cmd: x\nalways_changed: true\nouts: [m]")["cache"] is False
    assert stage("cmd: date")["cache"] is False
    assert "cache" not in stage("cmd: x\nouts: [m]")
    assert stage("cmd: x\ndesc: |\n  Two\n  lines\nouts: [m]")["description"] == "Two lines"
    told = " ".join(notes_of("cmd: x\nfrozen: true\nmeta: {a: 1}\nouts: [m]"))
    assert "`frozen` is not carried over" in told
    assert "`meta` is not carried over" in told


def test_environment_variables() -> None:
    """A stage gets those that the command names and does not set itself."""
    found = stage("cmd: |\n  X=1\n  for f in a b; do echo $f $X $HOME $TOKEN \\${MODE:-a} '$NOT'; done\nouts: [m]")
    assert found["pass-env"] == ["TOKEN", "MODE"]


def test_templating_names_parameters() -> None:
    """A value from params.yaml or `vars` is a parameter of ciml; in single quotes the value itself stands."""
    text = """\
vars:
- model: {out: build, layers: [8, 4]}
- other.json
stages:
  t:
    cmd: python src/train.py ${train.n_est} '${train.seed}' ${lr} ${model.layers[1]} \\${HOME}
    outs: ["${model.out}/m"]
"""
    made = convert(text)
    found = pipeline(made)
    [one] = found.stages.values()
    assert 'python src/train.py "${CIML_ARG_1}" \'20170428\' "${CIML_ARG_2}" 4 ${HOME}' in (one.command.script or "")
    assert one.command.arguments == {"CIML_ARG_1": "50", "CIML_ARG_2": "0.1"}
    assert [place.path for place in one.outputs] == ["build/m"]
    assert "params:\n  model.out: build\n" in made.text
    assert found.params_files == ("params.yaml", "other.json")


def test_a_stages_own_vars_are_told() -> None:
    """They become plain values, which no file changes any more: said with the line and their names."""
    text = """\
stages:
  t:
    vars: [other.json, {depth: 3, unused: 1}]
    cmd: x ${lr} ${depth} ${train.seed}
    outs: [m]
  f:
    foreach: [a, b]
    do: {vars: [{sizes: [8, 4]}], cmd: 'x ${item} ${sizes[1]}', outs: ['m-${item}']}
  s: {vars: [{unused: 1}], cmd: y, outs: [n]}
"""
    made = convert(text)
    assert made.text.count("what its own vars say") == 2
    assert "run: x 0.1 3 ${{ params.train.seed }}" in made.text
    told = "what its own vars say stands in ciml.yaml as it is today: "
    do = "(change it there, or let params.yaml say it)"
    assert [str(note) for note in made.notes if told in note.text] == [
        f"dvc.yaml:3: stages.t: {told}depth, lr {do}",
        f"dvc.yaml:8: stages.f: {told}sizes[1] {do}",
    ]


def test_a_mapping_in_a_command_is_its_options() -> None:
    """As DVC writes them: values by name, true alone, lists word by word."""
    [one] = stages("stages: {t: {cmd: 'x ${train}', outs: [m]}}").values()
    assert one["run"] == ("x --seed ${{ params.train.seed }} --n_est ${{ params.train.n_est }} --verbose --sizes 1 2")


def test_foreach_over_plain_values() -> None:
    """One stage with a matrix, whose instances are called as in DVC."""
    text = 'stages:\n  t:\n    foreach: [a, 0.5]\n    do:\n      cmd: x ${item}\n      outs: ["m-${item}"]\n'
    assert stages(text)["t"] == {
        "matrix": {"item": ["a", 0.5]},
        "run": "x ${{ matrix.item }}",
        "outputs": ["m-${{ matrix.item }}"],
    }
    assert list(pipeline(convert(text)).stages) == ["t@a", "t@0.5"]


def test_foreach_over_mappings() -> None:
    """Values that belong together are stages of their own; what has a name stays a parameter."""
    text = """\
vars: [{regions: {us: {t: 10, name: it's}, gb: {t: 15, name: b}}}]
stages:
  t:
    foreach: ${regions}
    do: {cmd: 'x ${key} ${item.t} --name ${item.name}', outs: ['m-${key}']}
  l:
    foreach: [{a: 1}, {a: 2}]
    do: {cmd: 'x ${item.a}', outs: ['l-${item.a}']}
"""
    found = stages(text)
    assert {name: one["run"] for name, one in found.items()} == {
        "t-us": "x us ${{ params.regions.us.t }} --name it's",
        "t-gb": "x gb ${{ params.regions.gb.t }} --name ${{ params.regions.gb.name }}",
        "l-0": "x 1",
        "l-1": "x 2",
    }
    assert "written out as t-us, t-gb: a matrix has lists of plain values" in notes(text)[0]


def test_foreach_whose_outputs_others_read() -> None:
    """An output that another stage names must have a maker of its own."""
    text = """\
stages:
  t:
    foreach: [a, b]
    do: {cmd: 'x ${item}', outs: ['m-${item}']}
  join: {cmd: cat, deps: [m-a, m-b], outs: [all]}
"""
    found = stages(text)
    assert list(found) == ["t-a", "t-b", "join"]
    assert "other stages read what one of them makes" in notes(text)[0]


def test_matrix() -> None:
    """Lists of plain values stay a matrix; lists of mappings are written out, called as in DVC."""
    plainly = "stages: {t: {matrix: {lr: [0.1, 1], m: [x, z]}, cmd: 'x ${item.m}', outs: ['${item.lr}-${item.m}']}}"
    assert stages(plainly)["t"]["matrix"] == {"lr": [0.1, 1], "m": ["x", "z"]}
    assert list(pipeline(convert(plainly)).stages) == ["t@0.1-x", "t@0.1-z", "t@1-x", "t@1-z"]
    nested = "stages: {t: {matrix: {f: [{a: 1}, {a: 2}], m: [x]}, cmd: 'x ${item.f.a} ${key}', outs: ['${key}']}}"
    assert {name: one["run"] for name, one in stages(nested).items()} == {"t-f0-x": "x 1 f0-x", "t-f1-x": "x 2 f1-x"}


@pytest.mark.parametrize(
    "body", ["cmd: x '${item}'", "cmd: x\n      params: ['${item}.n_est']", "cmd: x\n      wdir: ${item}"]
)
def test_a_matrix_that_cannot_say_it(body: str) -> None:
    """In single quotes, in names of parameters, in `wdir`: the values themselves stand there."""
    text = f"stages:\n  t:\n    foreach: [train]\n    do:\n      {body}\n      outs: ['m-${{item}}']\n"
    assert list(stages(text)) == ["t-train"]


def test_artifacts_are_models() -> None:
    """A model that a stage makes is a model without a gate; others are told."""
    text = """\
stages: {t: {cmd: x, outs: [m.pkl]}}
artifacts:
  churn: {path: m.pkl, type: model, desc: d}
  table: {path: t.csv, type: dataset}
  lost: {path: gone.pkl, type: model}
datasets: [{name: a}]
"""
    made = convert(text)
    assert [(name, model.path) for name, model in pipeline(made).models.items()] == [("churn", "m.pkl")]
    assert [(note.line, note.about, note.text) for note in made.notes] == [
        (3, "artifacts.churn", "has no gate: nothing is tested, and a person promotes"),
        (4, "artifacts.table", "is not carried over: its type is not `model`"),
        (5, "artifacts.lost", "is not carried over: no stage makes gone.pkl"),
        (6, "datasets", "datasets are not carried over"),
    ]
    assert all(note.do for note in made.notes)
    assert "path: m.pkl # add a gate: [METRIC > champion.METRIC]\n" in made.text


def test_top_level_metrics_and_plots() -> None:
    """They make a stage's outputs metrics and plots; one inside a folder that is an output stays there."""
    text = """\
stages:
  t: {cmd: x, outs: [m.json, p.csv, dir, rest]}
metrics: [m.json, gone.json]
plots: [p.csv, dir, {ROC: {y: {p2.csv: v}}}]
"""
    found = stages(text)["t"]
    assert (found["metrics"], found["plots"], found["outputs"]) == (["m.json"], ["p.csv", "dir"], ["rest"])
    told = " ".join(notes(text))
    assert "gone.json is no output of a stage" in told
    assert "p2.csv is no output of a stage" in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stages: [", "is not YAML"),
        ("a: 1\n", "has no stages"),
        ("stages: {a: {cmd: x}}\n<<: {b: 1}\n", "merge keys"),
    ],
)
def test_what_is_no_dvc_yaml(text: str, words: str) -> None:
    """Said with the file, and nothing is made of it."""
    with pytest.raises(ConfigurationError) as caught:
        convert(text)
    assert words in caught.value.message
    assert caught.value.message.startswith("dvc.yaml:")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("stages: {a: words}", "1:10: stages.a: is no mapping"),
        ("stages: {a: {deps: [b]}}", "1:10: stages.a.cmd: has no command"),
        ("stages:\n  a:\n    cmd: x\n    dep: [b]", "4:5: stages.a.dep: unknown key 'dep' (did you mean 'deps'?)"),
        ("stages: {a: {cmd: x}}\nartefacts: {}", "2:1: artefacts: unknown key 'artefacts' (did you mean 'artifacts'?)"),
        ("stages:\n  a:\n    cmd: x\n    outs: [m: {cash: false}]", "4:16: stages.a.outs.0.m.cash: unknown key 'cash'"),
        ("stages:\n  a:\n    cmd: x ${train.lr}", "3:5: stages.a.cmd: nothing is called ${train.lr}"),
        ("stages:\n  a:\n    cmd: x ${trian.seed}", "nothing is called ${trian.seed} (did you mean 'train.seed'?)"),
        ("stages:\n  a:\n    cmd: x ${MODE:-fast}", "${MODE:-fast} is no expression of DVC (a variable of the shell"),
        ("stages:\n  a:\n    cmd: x ${train.seed", "3:5: stages.a.cmd: ${train.seed is no expression of DVC"),
        ("stages:\n  a:\n    cmd: x\n    params: [train.sed]", "params.yaml has no parameter train.sed (did you mean"),
        (
            "stages:\n  a:\n    foreach: 5\n    do: {cmd: x}",
            "3:5: stages.a.foreach: must be a list, a mapping, or ${…}",
        ),
        ("stages:\n  a:\n    foreach: []\n    do: {cmd: x}", "must be a list or a mapping that is not empty"),
        (
            "stages:\n  a:\n    foreach: ${nobody}\n    do: {cmd: x}",
            "3:5: stages.a.foreach: nothing is called ${nobody}",
        ),
        ("stages:\n  a:\n    foreach: [1]", "`foreach` has no `do`"),
        ("stages:\n  a: {cmd: x, matrix: {b: 1}}", "stages.a.matrix.b: must be a list, or ${…}"),
        ("vars: [gone.yaml]\nstages: {a: {cmd: x}}", "1:1: vars: gone.yaml cannot be read"),
        ("artifacts: {m: {type: model}}\nstages: {a: {cmd: x}}", "1:13: artifacts.m: has no path"),
        (
            "stages:\n  a: {cmd: x, deps: [q/c], outs: [b]}\n  b: {cmd: x, deps: [b], outs: [q]}",
            "2:3: stages.a: cycle: a -> b -> a (no stage can come first",
        ),
        ("stages:\n  a: {cmd: x, outs: [m]}\n  b: {cmd: x, outs: [m/n]}", "3:15: stages.b.outs: m/n is made by a too"),
        ("stages:\n  a:\n    foreach: [1, 2]\n    do: {cmd: x, outs: [m]}", "stages.a.do.outs: m is made by a-1 too"),
    ],
)
def test_mistakes(body: str, problem: str) -> None:
    """What DVC itself would refuse is an error with its line, and says what would be right."""
    with pytest.raises(ConfigurationError) as caught:
        convert(body + "\n")
    assert problem in caught.value.message
    assert caught.value.message.startswith("dvc.yaml:")


def test_all_mistakes_are_shown_at_once() -> None:
    """Each with its line, in the order of the file."""
    with pytest.raises(ConfigurationError) as caught:
        convert("stages:\n  a: {cmd: x, dep: [b]}\n  b: {cmds: x}\nplot: []\n")
    assert [problem.line for problem in caught.value.problems] == [2, 3, 3, 4]


def test_commands_of_a_list_have_a_shell_each() -> None:
    """What a command does to its shell ends with it, as in DVC."""
    body = "cmd:\n- cd src && ls\n- X=1\n- ls ${train.seed}\nouts: [m]"
    assert stage(body)["run"] == "(cd src && ls)\n(X=1)\nls ${{ params.train.seed }}\n"


def test_values_of_several_words() -> None:
    """DVC writes a value into the command as it is: one that is more than a word stands there; in quotes it is one."""
    text = """\
vars: [{flags: --fast --all, title: two words, opts: {name: a b}}]
stages: {t: {cmd: 'x ${flags} "${title}" ${opts}', outs: [m]}}
"""
    assert stages(text)["t"]["run"] == 'x --fast --all "${{ params.title }}" --name "${{ params.opts.name }}"\n'
    assert "  flags:" not in convert(text).text


def test_what_was_decided_stands_above_its_stage() -> None:
    """Comments of ciml.yaml: what was added, what is fixed to today's values, what has no word here."""
    text = "stages:\n  t:\n    cmd: python src/train.py ${train} '${prepare.seed}'\n    frozen: true\n    outs: [m]\n"
    assert convert(text).text.partition("stages:\n")[2].partition("  t:\n")[0].splitlines() == [
        "  # `run` holds the values of train.verbose, train.sizes, prepare.seed as they are today",
        "  # src/train.py is an input: the command names it, and `deps` does not",
        "  # `frozen` is not carried over: it runs when what it reads changes",
    ]


def test_a_loop_over_a_params_file() -> None:
    """A list's values are written out, and that is told; a mapping's stay parameters of the file."""
    files = {"params.yaml": "folds: [1, 2]\nregions: {us: {t: 10}, eu: {t: 20}}\n"}
    text = """\
stages:
  f:
    foreach: ${folds}
    do: {cmd: 'x ${item}', outs: ['f-${item}']}
  r:
    foreach: ${regions}
    do: {cmd: 'x ${item.t}', outs: ['r-${key}']}
"""
    found = stages(text, files=files)
    assert found["f"]["matrix"] == {"item": [1, 2]}
    assert found["r-us"]["run"] == "x ${{ params.regions.us.t }}"
    assert [note.text for note in convert(text, files=files).notes] == [
        "the values of folds stand in ciml.yaml as they are today",
        "written out as r-us, r-eu: a matrix has lists of plain values",
    ]

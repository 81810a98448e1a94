"""What a repository has that a stage could have named, and perhaps forgot to declare."""

from __future__ import annotations

from ciml.app.data import files_here
from ciml.app.project import Project
from ciml.core.forgotten import Known
from ciml.core.ids import RepoPath


def known(project: Project) -> Known:
    """Files, outputs and parameters: asked when a stage has failed."""
    pipeline, tree = project.pipeline, project.tree
    files = {entry.path for entry in files_here(tree)}.union(tree.untracked(RepoPath("")))
    made = {place.path for stage in pipeline.stages.values() for place in stage.outputs}
    parameters = {name: file for file in pipeline.params_files for name in project.documents.params(tree, file)}
    return Known(paths=frozenset(files | made), parameters=parameters)

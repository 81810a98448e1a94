"""What the data commands work with: the data of the work tree, its manifests, and where bytes come from."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ciml.adapters.datatree import DataTree
from ciml.adapters.manifests import parse
from ciml.app import data as cases
from ciml.app.ports import Tree
from ciml.app.supply import Supply
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation
from ciml.cli.wiring import Documents, Place
from ciml.core.changes import CONFIGURATION
from ciml.core.errors import ConfigurationError, RepositoryError
from ciml.core.ids import RepoPath
from ciml.core.manifest import Manifest, stands_for
from ciml.core.pipeline import Pipeline


class Supplying:
    """The data of one work tree.

    Args:
        place: where the call works.
        invocation: how ciml was called.
        console: where lines go.

    Raises:
        RepositoryError: the repository is bare.
    """

    def __init__(self, place: Place, invocation: Invocation, console: Console) -> None:
        data = place.data()
        if data is None or place.root is None:
            raise RepositoryError("this repository is bare: there is no work tree for data", hint="git clone it")
        self.data: DataTree = data
        self.supply = Supply(place.store)
        self.tree = place.repository.work_tree()
        self._root = place.root
        self._place = place
        self._invocation = invocation
        self._console = console

    def path(self, text: str) -> RepoPath:
        """The path in the repository that the user means; a manifest's name means what it stands for.

        Raises:
            ConfigurationError: it leads out of the repository.
        """
        full = os.path.normpath(os.path.join(self._invocation.directory, text))
        # The folder may be reached through a link, as on macOS; what is named may not be one.
        full = os.path.join(os.path.realpath(os.path.dirname(full)), os.path.basename(full))
        root = os.path.realpath(self._root)
        if not f"{full}/".startswith(f"{root}/"):
            raise ConfigurationError(f"{text} leaves the repository", hint=f"Data lies below {root}.")
        path = RepoPath(full[len(root) + 1 :])
        return stands_for(path) or path

    def manifests(self, texts: Sequence[str] = (), *, tree: Tree | None = None) -> list[Manifest]:
        """The manifests that the user means, or all; of the work tree where no other tree is given."""
        return cases.manifests(tree or self.tree, parse, [self.path(text) for text in texts])

    def pipeline(self) -> Pipeline | None:
        """The pipeline of `ciml.yaml`, where there is one."""
        if self.tree.read(CONFIGURATION) is None:
            return None
        return Documents(self._place.index, profile=self._invocation.profile, params={}).pipeline(self.tree)

    def outputs(self) -> list[RepoPath]:
        """The paths that stages write."""
        pipeline = self.pipeline()
        return [place.path for stage in pipeline.stages.values() for place in stage.outputs] if pipeline else []

"""Pull requests and their comments in the GitHub of the tests."""

from __future__ import annotations

from typing import Any

from tests.githubbase import JSON, REPO, Answer, GitHubBase, Token, missing, refused

_ZERO = "0" * 40


class GitHubTalk(GitHubBase):
    """Pull requests, comments, accounts."""

    def __init__(self, repository: str, url: str, *, default_branch: str) -> None:
        super().__init__(repository, url, default_branch=default_branch)
        self.pulls: dict[int, JSON] = {}
        self._comments: dict[int, list[JSON]] = {}

    def pull_request(
        self,
        number: int,
        *,
        head: str,
        branch: str,
        base: str | None = None,
        fork: str | None = None,
        merged_as: str | None = None,
        title: str = "A change",
        body: str = "",
        author: str = "ann",
    ) -> JSON:
        """A pull request.

        Args:
            number: its number.
            head: commit.
            branch: of the head.
            base: branch that it is to be merged into; the default branch.
            fork: repository of the head, where it is another one; "" where that one is gone.
            merged_as: merge commit, where it was merged.
            title: one line.
            body: Markdown.
            author: login.
        """
        made: JSON = self.example(f"{REPO}/pulls/{{pull_number}}", "get", 200)
        owner = self.repository.partition("/")[0]
        home: Any = made["head"]["repo"]
        if fork is not None:
            home = {**home, "full_name": fork, "fork": True} if fork else None
        made |= {
            "number": number,
            "id": self.next_id(),
            "url": self.address(f"pulls/{number}"),
            "html_url": f"https://github.com/{self.repository}/pull/{number}",
            "state": "closed" if merged_as else "open",
            "title": title,
            "body": body,
            "user": self.user(author),
            "merged": bool(merged_as),
            "merged_at": self.tick() if merged_as else None,
            "merge_commit_sha": merged_as,
            "requested_teams": [],
            "head": {
                **made["head"],
                "sha": head,
                "ref": branch,
                "label": f"{(fork or self.repository).partition('/')[0]}:{branch}",
                "repo": home,
            },
            "base": {
                **made["base"],
                "ref": base or self.default_branch,
                "label": f"{owner}:{base or self.default_branch}",
            },
        }
        self.pulls[number] = made
        return made

    def comment(self, number: int, body: str, *, login: str = "ann") -> int:
        """The id of a comment that somebody writes."""
        made: JSON = self.example(f"{REPO}/issues/{{issue_number}}/comments", "post", 201)
        at, place = self.tick(), self.next_id()
        made |= {
            "id": place,
            "url": self.address(f"issues/comments/{place}"),
            "body": body,
            "user": self.user(login),
            "created_at": at,
            "updated_at": at,
        }
        self._comments.setdefault(number, []).append(made)
        return place

    def clear_comments(self) -> None:
        """Somebody deletes all comments."""
        self._comments.clear()

    def comments(self, number: int) -> list[JSON]:
        """All comments on a pull request, in the order of their ids."""
        return list(self._comments.get(number, ()))

    def get_user(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        if token.app:
            return 403, {}, {"message": token.refusal}
        made: JSON = self.example("/user", "get", 200)
        return 200, {}, {**made, "login": token.login}

    def get_repository(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        made: JSON = self.example(REPO, "get", 200)
        for unwanted in ("source", "parent", "template_repository"):
            made.pop(unwanted, None)
        return 200, {}, {**made, "default_branch": self.default_branch}

    def list_comments(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        number = int(arguments["issue_number"])
        if number not in self.pulls:
            return missing()
        found = [made for made in self.comments(number) if made["updated_at"] >= query.get("since", "")]
        headers, part = self.page(f"issues/{number}/comments", found, query)
        return 200, headers, part

    def create_comment(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        number = int(arguments["issue_number"])
        if number not in self.pulls:
            return missing()
        if _is_too_long(body["body"]):
            return refused("Body is too long (maximum is 65536 characters)")
        place = self.comment(number, body["body"], login=token.login)
        return 201, {}, self._comment(place)

    def get_comment(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        found = self._comment(int(arguments["comment_id"]))
        return (200, {}, found) if found else missing()

    def edit_comment(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        found = self._comment(int(arguments["comment_id"]))
        if found is None:
            return missing()
        if _is_too_long(body["body"]):
            return refused("Body is too long (maximum is 65536 characters)")
        found |= {"body": body["body"], "updated_at": self.tick()}
        return 200, {}, found

    def delete_comment(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        for there in self._comments.values():
            for made in there:
                if made["id"] == int(arguments["comment_id"]):
                    there.remove(made)
                    return 204, {}, None
        return missing()

    def _comment(self, place: int) -> JSON | None:
        return next((made for there in self._comments.values() for made in there if made["id"] == place), None)

    def list_pulls(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        state = query.get("state", "open")
        found = [
            _simple(made)
            for _, made in sorted(self.pulls.items(), reverse=True)
            if made["state"] in (state, "all")
            and query.get("head") in (None, made["head"]["label"])
            and query.get("base") in (None, made["base"]["ref"])
        ]
        headers, part = self.page("pulls", found, query)
        return 200, headers, part

    def create_pull(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        owner = self.repository.partition("/")[0]
        if any(
            made["head"]["label"] == f"{owner}:{body['head']}" and made["state"] == "open"
            for made in self.pulls.values()
        ):
            return refused(f"A pull request already exists for {owner}:{body['head']}.")
        if token.app == "github-actions" and token.permissions.get("may-open") == "no":
            return 403, {}, {"message": "GitHub Actions is not permitted to create or approve pull requests."}
        number = max(self.pulls, default=0) + 1
        made = self.pull_request(
            number,
            head=_ZERO,
            branch=body["head"],
            base=body["base"],
            title=body["title"],
            body=body.get("body", ""),
            author=token.login,
        )
        return 201, {}, made

    def get_pull(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        found = self.pulls.get(int(arguments["pull_number"]))
        return (200, {}, found) if found else missing()

    def edit_pull(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        found = self.pulls.get(int(arguments["pull_number"]))
        if found is None:
            return missing()
        found |= body
        return 200, {}, found

    def pulls_of(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        """Merged ones that brought a commit in, and open ones that hold it at their head."""
        sha = arguments["commit_sha"]
        found = [
            _simple(made) for made in self.pulls.values() if sha in (made["merge_commit_sha"], made["head"]["sha"])
        ]
        headers, part = self.page(f"commits/{sha}/pulls", found, query)
        return 200, headers, part


def _is_too_long(body: str) -> bool:
    return len(body.encode("utf-16-le")) // 2 > 65_536


def _simple(made: JSON) -> JSON:
    """A pull request as it stands in a list: without what only its own page tells."""
    own = ("merged", "mergeable", "mergeable_state", "merged_by", "comments", "commits", "additions", "deletions")
    return {name: member for name, member in made.items() if name not in own}

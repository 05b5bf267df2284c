"""A W&B server on loopback, just large enough for runs, `wandb sync`, charts and workspaces of wandb 0.31.

Operations on tables' artifacts stay unanswered, which the client survives.
"""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Server:
    """What clients sent: runs by id, charts by entity and name, views by entity, project and name."""

    url: str = ""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    summary: dict[str, dict[str, Any]] = field(default_factory=dict)
    exit_codes: dict[str, int] = field(default_factory=dict)
    charts: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    views: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    projects: tuple[str, ...] = ("rnnlab",)
    unknown: list[str] = field(default_factory=list)

    def config(self, run: str) -> dict[str, Any]:
        """The configuration of a run, without what W&B says about itself."""
        sent = json.loads(self.runs[run]["config"])
        return {key: entry["value"] for key, entry in sent.items() if key != "_wandb"}

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any] | None:
        """The data of a GraphQL operation; None if we do not know it, which W&B survives for tables and artifacts."""
        match operation:
            case "Viewer" | "ViewerQuery":
                viewer = {"id": "U", "entity": "team", "username": "tester", "flags": "{}", "teams": {"edges": []}}
                return {"viewer": viewer}
            case "ServerInfo":
                versions = {"min_cli_version": "0.0.1", "max_cli_version": "9.9.9"}
                return {"serverInfo": {"cliVersionInfo": versions, "latestLocalVersionInfo": None, "features": []}}
            case "UpsertBucket":
                return {"upsertBucket": {"bucket": self._upsert(variables), "inserted": True}}
            case "CreateRunFiles" | "RunUploadUrls":
                files = [{"name": name, "uploadUrl": f"{self.url}/put/{name}"} for name in variables.get("files") or []]
                return {"createRunFiles": {"runID": "B", "uploadHeaders": [], "files": files}}
            case "CreateCustomChart":
                if (variables["entity"], variables["chartName"]) in self.charts:
                    raise ValueError("chart already exists")  # what the real server does then is not known
                self.charts[variables["entity"], variables["chartName"]] = json.loads(variables["spec"])
                return {"createCustomChart": {"chart": {"id": f"{variables['entity']}/{variables['chartName']}"}}}
            case "UpsertView2":
                return {"upsertView": self._view(variables)}
            case "View" if variables["projectName"] not in self.projects:
                return {"project": None}
            case "View":
                key = tuple(variables[name] for name in ("entityName", "projectName", "viewName"))
                nodes = [{"node": self.views[key]}] if key in self.views else []
                return {"project": {"allViews": {"edges": nodes}}}
        self.unknown.append(operation)
        return None

    def _view(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Made anew, unless the client says by its id which one it replaces."""
        name, new = variables["name"], not variables.get("id")
        if new and any(name == taken for *_, taken in self.views):
            name += "-again"  # what the real server does then is not known
        view = {"id": variables.get("id") or f"V{len(self.views)}", "name": name}
        about = {"displayName": variables["displayName"], "spec": variables["spec"]}
        self.views[variables["entityName"], variables["projectName"], name] = {**view, **about}
        return {"view": view, "inserted": new}

    def _upsert(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = variables.get("name") or variables["input"]["name"]
        self.runs.setdefault(run, {}).update({key: value for key, value in variables.items() if value is not None})
        project = {"id": "P", "name": variables.get("project") or "rnnlab", "entity": {"id": "E", "name": "team"}}
        bucket = {"id": f"B{run}", "name": run, "displayName": run, "description": None, "sweepName": None}
        return {**bucket, "config": variables.get("config"), "historyLineCount": 0, "project": project}

    def stream(self, run: str, data: dict[str, Any]) -> None:
        """One message of the file stream."""
        for name, file in (data.get("files") or {}).items():
            rows = [json.loads(line) for line in file["content"]]
            if name == "wandb-history.jsonl":
                self.history.setdefault(run, []).extend(rows)
            elif name == "wandb-summary.json":
                self.summary[run] = rows[-1]
        if data.get("complete"):
            self.exit_codes[run] = data["exitcode"]


class _Handler(BaseHTTPRequestHandler):
    server_state: Server

    def do_GET(self) -> None:
        self._reply({})

    def do_PUT(self) -> None:
        self._body()
        self._reply({})

    def do_POST(self) -> None:
        body = self._body()
        if self.path.endswith("/graphql"):
            request = json.loads(body)
            operation = re.search(r"(?:query|mutation)\s+(\w+)", request["query"]).group(1)
            self._reply(self._graphql(operation, request.get("variables") or {}))
            return
        if self.path.endswith("file_stream"):
            self.server_state.stream(self.path.split("/")[-2], json.loads(body))
        self._reply({})

    def _graphql(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        try:
            data = self.server_state.answer(operation, variables)
        except ValueError as error:
            return {"data": {}, "errors": [{"message": str(error)}]}
        return {"data": data} if data else {"data": {}, "errors": [{"message": f"unknown {operation}"}]}

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        return gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body

    def _reply(self, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serve() -> Iterator[Server]:
    """A server on a free port of 127.0.0.1."""
    state = Server()
    handler = type("Handler", (_Handler,), {"server_state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield state
        server.shutdown()
        thread.join()

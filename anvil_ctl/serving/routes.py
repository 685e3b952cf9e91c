"""From method and path to the code that answers: the App that both servers are built from."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from anvil_ctl.serving.auth import Auth
from anvil_ctl.serving.envelope import Envelope, openai_envelope, refusal
from anvil_ctl.serving.exchange import Handler
from anvil_ctl.serving.message import Reply, Request


class Route(msgspec.Struct, frozen=True):
    """One endpoint. A path that ends in `/*` also matches what follows the slash.

    `open` needs no credential. A GET route answers HEAD as well.
    """

    method: str
    path: str
    handler: Handler
    open: bool = False


class Routes:
    """Authentication, then the path, then the method; all from the head alone."""

    def __init__(
        self, routes: Sequence[Route], *, auth: Auth, envelope: Envelope = openai_envelope
    ) -> None:
        self._auth = auth
        self._envelope = envelope
        self._exact: dict[str, dict[str, Route]] = {}
        self._prefixes: list[tuple[str, dict[str, Route]]] = []
        for route in routes:
            self._methods_for(route.path)[route.method] = route

    def gate(self, request: Request) -> Reply | Handler:
        """Who answers; a refusal of who may not call, and of what nobody answers."""
        methods = self._find(request.path)
        route = _for_method(methods, request.method)
        if not (route is not None and route.open) and not self._auth.admits(request.headers):
            return self._refuse(
                request,
                HTTPStatus.UNAUTHORIZED,
                "authentication_error",
                "The credential is missing or wrong.",
                ("www-authenticate", "Bearer"),
            )
        if route is not None:
            return route.handler
        if not methods:
            return self._refuse(request, HTTPStatus.NOT_FOUND, "not_found", "Not found.")
        allow = ("allow", _allowed(methods))
        if request.method == "OPTIONS":
            return Reply(HTTPStatus.NO_CONTENT, b"", headers=(allow,))
        return self._refuse(
            request,
            HTTPStatus.METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This path does not answer that method.",
            allow,
        )

    def _methods_for(self, path: str) -> dict[str, Route]:
        if not path.endswith("/*"):
            return self._exact.setdefault(path, {})
        for prefix, methods in self._prefixes:
            if prefix == path[:-1]:
                return methods
        self._prefixes.append((path[:-1], {}))
        return self._prefixes[-1][1]

    def _find(self, path: str) -> dict[str, Route]:
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        for prefix, methods in self._prefixes:
            if path.startswith(prefix):
                return methods
        return {}

    def _refuse(
        self, request: Request, status: int, kind: str, message: str, *headers: tuple[str, str]
    ) -> Reply:
        return refusal(self._envelope, request.path, status, kind, message, *headers)


def _for_method(methods: dict[str, Route], method: str) -> Route | None:
    return methods.get("GET" if method == "HEAD" else method)


def _allowed(methods: dict[str, Route]) -> str:
    names = set(methods) | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    return ", ".join(sorted(names))

"""Requests that a guard must not pass."""

from __future__ import annotations

import json

from tests.e2e.guarded import BASE

WEBSOCKET = (
    "Upgrade: websocket",
    "Connection: keep-alive, upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def refused() -> list[tuple[str, str, tuple[str, ...], str]]:
    """Requests that must not pass; {listed}, {stranger}, ... are filled in per bench."""
    api = "/v1.41"
    mine = f"{api}/containers/{{listed}}"
    create = json.dumps({"Image": BASE, "HostConfig": {"Binds": ["/:/host"], "Privileged": True}})
    execute = json.dumps({"Cmd": ["id"], "AttachStdout": True})
    plain = [
        ("POST", f"{api}/containers/create?name={{project}}-made", (), create),
        ("POST", f"{mine}/exec", (), execute),
        ("POST", f"{api}/exec/{{stranger_id}}/start", (), "{}"),
        ("POST", f"{mine}/attach?stream=1&stdout=1", (), ""),
        ("GET", f"{mine}/attach/ws", (), ""),
        ("GET", f"{mine}/logs?stdout=1", (), ""),
        ("GET", f"{mine}/archive?path=/etc", (), ""),
        ("PUT", f"{mine}/archive?path=/etc", (), "x"),
        ("HEAD", f"{mine}/archive?path=/etc", (), ""),
        ("GET", f"{mine}/export", (), ""),
        ("GET", f"{mine}/top", (), ""),
        ("GET", f"{mine}/stats", (), ""),
        ("GET", f"{mine}/changes", (), ""),
        ("POST", f"{mine}/update", (), json.dumps({"Memory": 1 << 30})),
        ("POST", f"{mine}/rename?name={{project}}-renamed", (), ""),
        ("POST", f"{mine}/restart", (), ""),
        ("POST", f"{mine}/pause", (), ""),
        ("POST", f"{mine}/unpause", (), ""),
        ("POST", f"{mine}/wait", (), ""),
        ("POST", f"{mine}/resize?h=1&w=1", (), ""),
        ("DELETE", f"{mine}?force=1", (), ""),
        ("DELETE", mine, (), ""),
        ("POST", f"{api}/containers/prune", (), ""),
        ("POST", f"{api}/commit?container={{listed}}&repo={{project}}", (), "{}"),
        ("POST", f"{api}/images/create?fromImage=busybox&tag=latest", (), ""),
        ("POST", f"{api}/build?remote=http://127.0.0.1/x", (), ""),
        ("GET", f"{api}/images/json", (), ""),
        ("DELETE", f"{api}/images/debian:trixie-slim", (), ""),
        ("POST", f"{api}/images/prune", (), ""),
        ("GET", f"{api}/volumes", (), ""),
        ("POST", f"{api}/volumes/create", (), json.dumps({"Name": "{project}-volume"})),
        ("POST", f"{api}/volumes/prune", (), ""),
        ("GET", f"{api}/networks", (), ""),
        ("POST", f"{api}/networks/create", (), json.dumps({"Name": "{project}-network"})),
        ("POST", f"{api}/networks/prune", (), ""),
        ("POST", f"{api}/swarm/init", (), json.dumps({"ListenAddr": "127.0.0.1:2377"})),
        ("GET", f"{api}/secrets", (), ""),
        ("GET", f"{api}/plugins", (), ""),
        ("GET", f"{api}/info", (), ""),
        ("GET", f"{api}/system/df", (), ""),
        ("POST", f"{api}/system/prune", (), ""),
        ("POST", f"{api}/auth", (), "{}"),
        ("POST", f"{api}/session", ("Upgrade: h2c", "Connection: Upgrade"), ""),
        ("POST", "/grpc", ("Upgrade: h2c", "Connection: Upgrade"), ""),
    ]
    others = [
        (method, f"{api}/containers/{who}{verb}", (), "")
        for who in ("{sibling}", "{stranger}", "{stranger_id}", "{short_id}", "{listed_id}")
        for method, verb in (("GET", "/json"), ("POST", "/stop?t=0"), ("POST", "/kill"))
    ]
    tricks = [
        ("GET", f"{api}/containers/%2e%2e/images/json", (), ""),
        ("GET", f"{api}/containers/{{listed}}/../../images/json", (), ""),
        ("GET", f"{api}/../v1.41/images/json", (), ""),
        ("GET", f"/{api}/containers/{{listed}}/json", (), ""),
        ("GET", f"{api}//containers/{{listed}}/json", (), ""),
        ("GET", f"{api}/containers//{{listed}}/json", (), ""),
        ("GET", f"{api}/containers/{{listed}}/json/", (), ""),
        ("GET", f"{api}/containers/{{listed}}%2fjson", (), ""),
        ("GET", f"{api}/containers/{{listed}}%2f..%2f{{stranger}}/json", (), ""),
        ("POST", f"{api}/containers/{{stranger}}%2fstop", (), ""),
        ("GET", f"{api}/containers/%73tranger/json", (), ""),
        ("GET", f"{api}/Containers/{{listed}}/json", (), ""),
        ("GET", f"{api}/containers/{{LISTED}}/json", (), ""),
        ("GET", f"{api}/containers/{{listed}};x/json", (), ""),
        ("GET", f"{api}/containers/{{listed}}/json?size=1", (), ""),
        ("GET", "/V1.41/containers/{listed}/json", (), ""),
        ("GET", "/v1.24/containers/{listed}/json", (), ""),
        ("GET", "/v1.410/containers/{listed}/json", (), ""),
        ("GET", "/v2/containers/{listed}/json", (), ""),
        ("GET", "/containers/{listed}/json", (), ""),
        ("GET", "/containers/json", (), ""),
        ("GET", "/events", (), ""),
        ("GET", "http://guard/v1.41/containers/json", (), ""),
        ("get", f"{api}/containers/json", (), ""),
        ("POST", f"{api}/containers/json", (), ""),
        ("POST", f"{mine}/json", (), ""),
        ("GET", f"{mine}/stop", (), ""),
        ("POST", f"{mine}/stop?t=1&signal=SIGSTOP", (), ""),
        ("POST", f"{mine}/stop?t=-1", (), ""),
        ("POST", f"{mine}/kill?signal=SIGSTOP", (), ""),
        ("POST", f"{mine}/start?checkpoint=x", (), ""),
        ("POST", f"{mine}/start", (), json.dumps({"Binds": ["/:/host"]})),
        ("POST", f"{mine}/start", ("Transfer-Encoding: chunked",), "0\r\n\r\n"),
        ("POST", f"{mine}/stop", ("Upgrade: tcp", "Connection: Upgrade"), ""),
        ("GET", f"{api}/events", WEBSOCKET, ""),
        ("GET", "/_ping", ("Upgrade: tcp",), ""),
        ("GET", f"{api}/containers/deadbeef/json", (), ""),
        ("OPTIONS", "*", (), ""),
        ("CONNECT", "guard:80", (), ""),
    ]
    return plain + others + tricks

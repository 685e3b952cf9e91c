"""Last, because it ends the stack that the others share."""

from __future__ import annotations

from tests.e2e.stack import Stack, containers, docker


def test_down_removes_every_container_and_network_and_keeps_the_volume(stack: Stack) -> None:
    stack.run("down")

    assert containers(stack.project) == []
    assert stack.project not in docker("network", "ls", "--format", "{{.Name}}").split()
    assert stack.volume in docker("volume", "ls", "--format", "{{.Name}}").split()
    assert stack.json("status")["mode"] is None
    assert "nothing to do" in stack.run("down").stdout


def test_up_after_down_needs_no_download(stack: Stack) -> None:
    stack.run("up", "--mode", "flexibility")

    assert stack.json("status")["mode"] == "flexibility"
    assert stack.run("ask", "Say hello.", "--max-tokens", "8").stdout.strip()
    stack.run("down")

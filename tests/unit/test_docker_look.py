from __future__ import annotations

from anvil_ctl.docker_look import Binding, Mount, Seen, read

ROW = {
    "Name": "/anvil-agentic-fast-local-1",
    "RestartCount": 3,
    "Config": {
        "Image": "vllm/vllm-openai:v0.33.0",
        "Env": ["CUDA_DEVICE_ORDER=PCI_BUS_ID", "EMPTY=", "WITH=a=b"],
        "Labels": {"dev.anvil.mode": "agentic"},
    },
    "State": {
        "Status": "exited",
        "ExitCode": 137,
        "OOMKilled": True,
        "Error": "unknown device",
        "Health": {"Status": "unhealthy"},
    },
    "HostConfig": {
        "RestartPolicy": {"Name": "unless-stopped"},
        "IpcMode": "host",
        "PortBindings": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "30001"}], "9/tcp": None},
        "DeviceRequests": [{"Driver": "nvidia", "DeviceIDs": ["GPU-1"]}, {"Count": -1}],
    },
    "Mounts": [
        {"Type": "volume", "Name": "models", "Destination": "/models", "RW": False},
        {"Type": "bind", "Source": "/etc/a", "Destination": "/b", "RW": True},
    ],
}


def test_a_container_is_cut_to_what_checks_need() -> None:
    assert read(ROW) == Seen(
        name="anvil-agentic-fast-local-1",
        image="vllm/vllm-openai:v0.33.0",
        status="exited",
        health="unhealthy",
        exit_code=137,
        out_of_memory=True,
        restarts=3,
        restart_policy="unless-stopped",
        error="unknown device",
        labels={"dev.anvil.mode": "agentic"},
        environment={"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "EMPTY": "", "WITH": "a=b"},
        bindings=(Binding("127.0.0.1", 30001, "8000/tcp"),),
        mounts=(Mount("volume", "models", "/models", False), Mount("bind", "/etc/a", "/b", True)),
        devices=("GPU-1", "all"),
        shares_memory=True,
    )


def test_a_container_of_an_older_engine_lacks_parts_and_is_read_all_the_same() -> None:
    bare = {"Name": "/x", "Config": {}, "State": {"Status": "running"}, "HostConfig": {}}

    assert read(bare) == Seen("x", "", "running")

from __future__ import annotations

from anvil_ctl.doctor.store_look import parse
from anvil_ctl.doctor.survey import ModelSeen, Partial, Store

SAID = """\
now 1800000000
free 4096
kind ext2/ext3
partial 100 1799999990.5 hub/models--a--b/blobs/with a space.incomplete
owner 1000 755 /caches/anvil-cache-vllm-cuda-0.33.0
model gguf/one.gguf
file 98 one.gguf/
model hub/models--a--b/snapshots/1
file 10 config.json/config.json
file 30 model-00001.safetensors/model-00001.safetensors
dangling
manifest e30=
"""


def test_what_the_container_printed_becomes_facts() -> None:
    assert parse(SAID) == Store(
        models={
            "gguf/one.gguf": ModelSeen(98, frozenset({"gguf"}), 0, {"": 98}),
            "hub/models--a--b/snapshots/1": ModelSeen(
                40,
                frozenset({"json", "safetensors"}),
                1,
                {"config.json": 10, "model-00001.safetensors": 30},
            ),
        },
        partials=(Partial("hub/models--a--b/blobs/with a space.incomplete", 100, 9.5),),
        free=4096 * 1024,
        file_system="ext2/ext3",
        owners={"anvil-cache-vllm-cuda-0.33.0": (1000, 0o755)},
    )


def test_an_empty_volume_has_no_models() -> None:
    assert parse("now 1\nfree 4\nkind tmpfs\n") == Store({}, (), 4096, "tmpfs")

"""Room for sockets, in a process of its own: limits are a process's."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import resource
from anvil_ctl.serving import descriptors
_soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, min(hard, {hard})))
descriptors.raise_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], descriptors.connections(4096))
"""


@pytest.mark.parametrize(("hard", "room"), [(1024, 320), (16384, 4096)])
def test_what_the_system_grants_is_used_and_clients_get_a_third_of_it(hard: int, room: int) -> None:
    code = CODE.format(soft=512, hard=hard)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=20)

    assert done.stdout.split() == [str(hard).encode(), str(room).encode()]

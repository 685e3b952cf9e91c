"""Reads one request, a line of JSON, and answers with lines until a result or a failure.

Its input stays open as long as somebody waits for it: when that ends, so does this, with whatever
has come kept for the next time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any, BinaryIO

from anvil_ctl.transfer.problem import Kind, Problem
from anvil_ctl.transfer.verbs import VERBS, Place
from anvil_ctl.transfer.wire import Wire, failed, result

# Threads that wait for the network see the end late; what they have is on disk already.
_LAST_S = 3.0


def main() -> None:
    send, stop = Wire(sys.stdout.buffer), threading.Event()
    source = sys.stdin.buffer
    request = json.loads(source.readline())
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda _number, _frame: stop.set())
    threading.Thread(target=_until_left, args=(source, stop), daemon=True).start()
    work = threading.Thread(target=_work, args=(request, send, stop), daemon=True)
    work.start()
    while work.is_alive() and not stop.wait(0.2):
        pass
    work.join(_LAST_S if stop.is_set() else None)
    if work.is_alive():
        send(failed(Kind.STOPPED, "stopped"))
    # Without waiting for threads: nothing that they do has to come to an end.
    os._exit(0)


def _until_left(source: BinaryIO, stop: threading.Event) -> None:
    while source.read(1):
        pass
    stop.set()


def _work(request: dict[str, Any], send: Wire, stop: threading.Event) -> None:
    try:
        send(result(VERBS[request.pop("verb")](Place(), request, send, stop)))
    except Problem as problem:
        send(failed(problem.kind, problem.text))
    except Exception as error:  # noqa: BLE001 - the command line must hear of every end
        send(failed(Kind.OTHER, f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    main()

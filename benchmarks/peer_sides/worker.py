"""A side in a process of its own: a line in, one turn, a line of json out."""

import importlib
import json
import os
import sys
import time

from benchmarks.peer_sides.setting import Setting
from benchmarks.setting import narrow


def main() -> None:
    """``worker SIDE SETTING``; answers each line of stdin until it ends."""
    # What a library prints goes to stderr; the pipe is ours.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    setting = Setting(**json.loads(sys.argv[2]))
    if setting.toy:
        narrow()
    side = importlib.import_module(f"benchmarks.peer_sides.{sys.argv[1]}")
    began = time.perf_counter()
    turn = side.prepare(setting)
    print(json.dumps({"once": time.perf_counter() - began}), file=answers, flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        images = turn()
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "images": images}), file=answers, flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What TorchServe's container does before it is stopped: wait until the front beside it has answered all it took.

    drain.py FILE SECONDS     until FILE (which the front removes at its end) is gone, at most so many seconds

Both containers are told to stop at once. The front stays open while the pod is taken out of the Service, then closes
its port and answers what it holds; TorchServe must outlive it, and this is how.
"""

import sys
import time
from pathlib import Path


def main(file: str, seconds: str) -> int:
    end = time.monotonic() + float(seconds)
    while Path(file).exists():
        if time.monotonic() >= end:
            print(f"{file} is still there after {seconds} s", file=sys.stderr)
            return 1
        time.sleep(0.25)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))

"""Increments a counter in a file under a lock of the PyPI package `redlock`.

increment.py FILE COUNT LOCK HOST:PORT...

Only the lock protects the counter: it is read, and then written. Ends with an
error if the lock cannot be had within a minute.
"""

import sys
import time

from redlock import RedLockFactory

TTL_MS = 10_000
RETRY_DELAY_MS = 10
LIMIT_S = 60


def take(factory, name):
    give_up = time.monotonic() + LIMIT_S
    # The package's own tries are few; a try that fails sleeps before it returns.
    lock = factory.create_lock(
        name, ttl=TTL_MS, retry_times=1, retry_delay=RETRY_DELAY_MS
    )
    while not lock.acquire():
        if time.monotonic() > give_up:
            sys.exit(f"the lock {name} was not granted within {LIMIT_S} s")
    return lock


def increment(path):
    with open(path, encoding="ascii") as counter:
        value = int(counter.read())
    with open(path, "w", encoding="ascii") as counter:
        counter.write(str(value + 1))


def main(path, count, name, *hosts):
    factory = RedLockFactory([{"url": f"redis://{host}/0"} for host in hosts])
    for _ in range(int(count)):
        lock = take(factory, name)
        increment(path)
        lock.release()


if __name__ == "__main__":
    main(*sys.argv[1:])

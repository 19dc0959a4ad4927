"""Contends for one lock by python-redis-lock; prints what the Rust worker prints."""

import sys
import threading
import time

import redis
import redis_lock

PORT, TASKS, SPAN = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
# Seconds; an acquire may not wait for longer than its lock lasts.
EXPIRE = 30


def now():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def contend(client, task, end, lines):
    while now() < end:
        asked = now()
        lock = redis_lock.Lock(client, "contended", expire=EXPIRE)
        # Its timeout is in whole seconds, so a last wait may end after the end.
        if not lock.acquire(timeout=max(1, (end - asked) // 10**9)):
            lines.append(f"{task} 0 0 {now() - asked}")
            continue
        had = now()
        if had >= end:
            lock.release()
            lines.append(f"{task} 0 0 {end - asked}")
            continue
        time.sleep(0.001)
        begun = now()
        lines.append(f"{task} {had} {begun} {had - asked}")
        lock.release()
        time.sleep(0.001)


def main():
    client = redis.Redis(port=PORT)
    client.ping()
    print("ready", flush=True)
    sys.stdin.readline()
    end = now() + int(SPAN * 1e9)
    lines = [[] for _ in range(TASKS)]
    threads = [
        threading.Thread(target=contend, args=(client, task, end, lines[task]))
        for task in range(TASKS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for task in lines:
        print("\n".join(task))


main()

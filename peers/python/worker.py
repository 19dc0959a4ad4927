"""The PyPI package `redlock` behind the line protocol of docs/torture.md."""

import importlib.metadata
import json
import os
import sys
import time
from urllib.parse import urlsplit

from redlock import RedLockFactory
from redlock.lock import CLOCK_DRIFT_FACTOR


def now_us():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def say(line):
    print(json.dumps(line), flush=True)


def servers(url):
    parts = urlsplit(url)
    if parts.scheme != "redis":
        raise ValueError(f"give redis://host:port,…, not {url}")
    database = parts.path.strip("/") or "0"
    return [{"url": f"redis://{host}/{database}"} for host in parts.netloc.split(",")]


class Client:
    """The package, and the locks it has, by the id of the acquire."""

    def __init__(self, url):
        self.factory = RedLockFactory(servers(url))
        self.held = {}

    def believes(self, lease):
        return lease in self.held and now_us() < self.held[lease][1]

    def acquire(self, ask):
        give_up = now_us() + ask["wait_ms"] * 1000
        retries = {"retry_times": 1} if ask["wait_ms"] == 0 else {}
        while True:
            lock = self.factory.create_lock(ask["name"], ttl=ask["ttl_ms"], **retries)
            sent = now_us()
            # It measures how long each try took, and does not tell; its drift is its own.
            until = sent + (ask["ttl_ms"] * (1 - CLOCK_DRIFT_FACTOR) - 2) * 1000
            try:
                if lock.acquire():
                    self.held[ask["id"]] = (lock, until)
                    got = now_us()
                    return {"ok": "granted", "valid_ms": (until - got) / 1000, "sent_us": sent}
                failure = {"ok": "busy"}
            except Exception as error:  # a server that cannot be reached ends the attempt
                failure = {"ok": "error", "text": f"{type(error).__name__}: {error}"}
                time.sleep(lock.retry_delay / 1000 if ask["wait_ms"] else 0)
            if now_us() >= give_up:
                return failure

    def use(self, ask):
        if not self.believes(ask["lease"]):
            return {"ok": "lost"}
        time.sleep(ask.get("pause_ms", 0) / 1000)
        return {"ok": "used"}

    def release(self, ask):
        # Of a release it does not tell what came of it.
        answer = {"ok": "released" if self.believes(ask["lease"]) else "lost"}
        held = self.held.pop(ask["lease"], None)
        try:
            if held:
                held[0].release()
        except Exception as error:
            return {"ok": "unknown", "text": f"{type(error).__name__}: {error}"}
        return answer

    def carry_out(self, ask):
        sent = now_us()
        answer = {"id": ask["id"], "sent_us": sent}
        answer.update(getattr(self, ask["do"])(ask))
        answer["got_us"] = now_us()
        return answer


def main():
    try:
        client = Client(os.environ["LEASEHOLD_URL"])
    except Exception as error:
        say({"failed": f"{type(error).__name__}: {error}"})
        sys.exit(1)
    version = importlib.metadata.version("redlock")
    say({"hello": "redlock (PyPI)", "version": version, "tokens": False, "clients": 1, "can": []})
    for line in sys.stdin:
        ask = json.loads(line)
        if ask["do"] == "quit":
            break
        say(client.carry_out(ask))


if __name__ == "__main__":
    main()

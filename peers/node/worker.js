// The npm package `redlock` behind the line protocol of docs/torture.md.

"use strict";

const fs = require("fs");
const readline = require("readline");
const Redis = require("ioredis");
const { default: Redlock, ResourceLockedError } = require("redlock");
const { version } = JSON.parse(
  fs.readFileSync(`${__dirname}/node_modules/redlock/package.json`, "utf8"),
);

const CLIENTS = 8;

// Node tells CLOCK_MONOTONIC; /proc/uptime is CLOCK_BOOTTIME, in steps of 10 ms. They
// differ by as long as the machine was suspended.
const suspended = (() => {
  const boot = parseFloat(fs.readFileSync("/proc/uptime", "utf8"));
  const apart = boot * 1e6 - Number(process.hrtime.bigint() / 1000n);
  return Math.abs(apart) < 50_000 ? 0 : Math.round(apart);
})();

const nowUs = () => Number(process.hrtime.bigint() / 1000n) + suspended;
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function servers(url) {
  const parts = /^redis:\/\/([^/?]+)(?:\/(\d*))?/.exec(url);
  if (!parts) throw new Error(`give redis://host:port,…, not ${url}`);
  return parts[1].split(",").map((host) => {
    const client = new Redis(`redis://${host}/${parts[2] || 0}`);
    // It reconnects by itself; without a listener each failure is printed.
    client.on("error", () => {});
    return client;
  });
}

/** Whether every vote against was that somebody has the lock, as far as votes are in. */
async function wasBusy(error) {
  for (const attempt of error.attempts || []) {
    // Votes of a server that does not answer never come in.
    const votes = await Promise.race([attempt, sleep(20)]);
    if (!votes) return false;
    const { votesAgainst } = votes;
    for (const vote of votesAgainst.values()) {
      if (!(vote instanceof ResourceLockedError)) return false;
    }
  }
  return true;
}

const held = new Map();
// By its own figure, which is on the wall clock.
const believes = (lease) => held.has(lease) && Date.now() < held.get(lease).expiration;
const validMs = (lock) => lock.expiration - Date.now();
let redlock;

const actions = {
  async acquire({ id, name, ttl_ms, wait_ms }) {
    const giveUp = nowUs() + wait_ms * 1000;
    const settings = wait_ms === 0 ? { retryCount: 0 } : undefined;
    for (;;) {
      const sent_us = nowUs();
      try {
        const lock = await redlock.acquire([name], ttl_ms, settings);
        held.set(id, lock);
        return { ok: "granted", valid_ms: validMs(lock), sent_us };
      } catch (error) {
        if (nowUs() >= giveUp) {
          return { ok: (await wasBusy(error)) ? "busy" : "error", text: error.message };
        }
      }
    }
  },
  async use({ lease, pause_ms }) {
    if (!believes(lease)) return { ok: "lost" };
    if (pause_ms) await sleep(pause_ms);
    return { ok: "used" };
  },
  async extend({ lease, ttl_ms }) {
    if (!held.has(lease)) return { ok: "lost" };
    try {
      const lock = await held.get(lease).extend(ttl_ms);
      held.set(lease, lock);
      return { ok: "extended", valid_ms: validMs(lock) };
    } catch (error) {
      return { ok: believes(lease) ? "error" : "lost", text: error.message };
    }
  },
  async release({ lease }) {
    const ok = believes(lease) ? "released" : "lost";
    const lock = held.get(lease);
    held.delete(lease);
    try {
      if (lock) await lock.release();
      return { ok };
    } catch (error) {
      // It was given back on too few servers, or was no longer there.
      return { ok: ok === "lost" ? ok : "unknown", text: error.message };
    }
  },
};

async function carryOut(ask) {
  const sent_us = nowUs();
  const answer = await actions[ask.do](ask);
  say({ id: ask.id, sent_us, ...answer, got_us: nowUs() });
}

function main() {
  try {
    redlock = new Redlock(servers(process.env.LEASEHOLD_URL || ""));
  } catch (error) {
    say({ failed: error.message });
    process.exit(1);
  }
  redlock.on("error", () => {});
  say({ hello: "redlock (npm)", version, tokens: false, clients: CLIENTS, can: ["extend"] });
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const ask = JSON.parse(line);
    if (ask.do === "quit") process.exit(0);
    carryOut(ask);
  });
  lines.on("close", () => process.exit(0));
}

main();

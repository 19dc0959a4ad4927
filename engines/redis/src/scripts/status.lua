-- The lock as this node has it; changes nothing. Specification: `Node::status`.
--
-- KEYS  lock, lease, line, node record, break
-- ARGV  field of the counter
-- Returns {broken, counter or -1, holders, waiters}: as broken {by, reason, unix
-- seconds, tokens ended} of the last break, four times nil if there is none; a holder
-- is {value, free in (ms; -1 never)}, and if it is a lease of ours {..., nonce, owner,
-- mode, slot, counter, held (us), ttl, grace}; a waiter is {nonce, owner, mode,
-- waited (us)}.
load()
local record = read_record(ARGV[1])
local waiters = {}
for at, waiter in ipairs(lock.wait) do
  waiters[at] = {waiter.nonce, waiter.owner, waiter.mode, math.max(0, now - waiter.since)}
end
local broken = redis.call('HMGET', KEYS[5], 'by', 'reason', 'at', 'ended')
return {broken, record.own, holders(math.huge), waiters}

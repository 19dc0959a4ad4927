-- The lock as this node has it. Specification: `Node::status`.
--
-- KEYS  lock, fence, lease, break
-- Returns
--   {broken, counter}                                            free
--   {broken, counter, pttl, value}                               not a lease of ours
--   {broken, counter, pttl, value, owner, held (us), ttl, grace} a lease of ours
-- with the counter -1 if there is none, and as broken {by, reason, unix seconds,
-- tokens ended} of the last break, four times nil if there is none.
local value = redis.call('GET', KEYS[1])
local counter = tonumber(redis.call('GET', KEYS[2]) or -1)
local broken = redis.call('HMGET', KEYS[4], 'by', 'reason', 'at', 'ended')
if not value then
  return {broken, counter}
end
local left = redis.call('PTTL', KEYS[1])
local lease = redis.call('HMGET', KEYS[3], 'nonce', 'owner', 'at', 'ttl', 'grace')
if lease[1] ~= value then
  return {broken, counter, left, value}
end
local time = redis.call('TIME')
local held = math.max(0, time[1] * 1000000 + time[2] - lease[3])
return {broken, counter, left, value, lease[2], held, tonumber(lease[4]), tonumber(lease[5])}

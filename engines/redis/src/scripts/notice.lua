-- Write down that the node's loss was noticed, unless it is written already.
-- Specification: `Node::notice`. The uptime is asked after this, never before: a
-- flush in between would be missed.
--
-- KEYS  node record
-- ARGV  run id, ticket
-- Returns {ticket, how long ago (us), now (us), joined, mark, max_ttl (ms)}, the
-- last three {.., '', 0, 0} without a record.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local f = redis.call('HMGET', KEYS[1], 'noticed_run', 'ticket', 'noticed_at',
  'joined', 'high', 'floor', 'max_ttl')
local ticket, at = f[2], f[3]
if f[1] ~= ARGV[1] then
  ticket, at = ARGV[2], now
  redis.call('HSET', KEYS[1], 'noticed_run', ARGV[1], 'ticket', ticket,
    'noticed_at', string.format('%.0f', now))
end
local mark = math.max(tonumber(f[5] or 0), tonumber(f[6] or 0))
return {ticket, math.max(0, now - at), now, f[4] or '', mark, tonumber(f[7] or 0)}

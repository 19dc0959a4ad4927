-- The node votes from now on, if it has not forgotten once more since the notice.
-- Specification: `Node::install`.
--
-- KEYS  node record
-- ARGV  run id, ticket, floor, max_ttl (ms)
-- Returns 1, or 0 if the notice is gone.
local f = redis.call('HMGET', KEYS[1], 'noticed_run', 'ticket', 'floor', 'max_ttl')
if f[1] ~= ARGV[1] or f[2] ~= ARGV[2] then
  return 0
end
local function most(old, new)
  return string.format('%.0f', math.max(tonumber(old or 0), tonumber(new)))
end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'joined', ARGV[1],
  'floor', most(f[3], ARGV[3]), 'max_ttl', most(f[4], ARGV[4]),
  'since', string.format('%.0f', time[1] * 1000000 + time[2]))
redis.call('HDEL', KEYS[1], 'noticed_run', 'ticket', 'noticed_at')
return 1

-- The record stands, under this run id. Specification: `Node::adopt`, `Node::keep`.
--
-- KEYS  node record
-- ARGV  run id, max_ttl (ms), 'keep' if the record must name this run id already
-- Returns 1, or 0 if there is no such record.
local f = redis.call('HMGET', KEYS[1], 'joined', 'max_ttl')
if not f[1] or (ARGV[3] == 'keep' and f[1] ~= ARGV[1]) then
  return 0
end
local max_ttl = math.max(tonumber(f[2]), tonumber(ARGV[2]))
redis.call('HSET', KEYS[1], 'joined', ARGV[1], 'max_ttl', string.format('%.0f', max_ttl))
return 1

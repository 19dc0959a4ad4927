-- Remember at least this counter, for the join of another. Specification: `Node::raise`.
--
-- KEYS  node record
-- ARGV  run id, counter
-- Returns 1, or 0 if this node has to join itself.
local f = redis.call('HMGET', KEYS[1], 'joined', 'backed')
if f[1] ~= ARGV[1] then
  return 0
end
if tonumber(f[2] or 0) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'backed', ARGV[2])
end
return 1

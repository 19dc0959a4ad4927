-- What this node remembers, for the join of another. Specification: `Node::recall`.
--
-- KEYS  node record
-- ARGV  run id
-- Returns {joined for (us) or -1, mark, max_ttl (ms), now (us)}
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local f = redis.call('HMGET', KEYS[1], 'joined', 'high', 'floor', 'max_ttl', 'since')
local age = -1
if f[1] == ARGV[1] then
  age = math.max(0, now - f[5])
end
return {age, math.max(tonumber(f[2] or 0), tonumber(f[3] or 0)), tonumber(f[4] or 0), now}

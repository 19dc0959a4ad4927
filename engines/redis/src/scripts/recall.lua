-- What this node remembers, for the join of another. Specification: `Node::recall`.
--
-- KEYS  node record
-- ARGV  run id
-- Returns {joined for (us) or -1, mark, max_ttl (ms), now (us)}
local age = -1
if f.joined == ARGV[1] then
  age = math.max(0, now - f.since)
end
return {age, mark, tonumber(f.max_ttl or 0), now}

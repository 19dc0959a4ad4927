-- Let a key live longer that is still ours, never shorter: `PEXPIRE ... GT`, which
-- servers before 7.0 do not have. Specification: `Node::extend`.
--
-- KEYS  lock, lease
-- ARGV  nonce, hold (ms)
-- Returns 1, or 0 if the key is not ours.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1

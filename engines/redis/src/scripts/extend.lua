-- Let a grant live longer that is still ours, never shorter: `PEXPIRE ... GT`, which
-- servers before 7.0 do not have. Specification: `Node::extend`.
--
-- KEYS  lock, lease, line
-- ARGV  nonce, hold (ms), slot
-- Returns 1, or 0 if there is no such grant of ours.
local value = redis.call('GET', KEYS[1])
if value == ARGV[1] and ARGV[3] == '0' then
  local left = redis.call('PTTL', KEYS[1])
  if left >= 0 and left < tonumber(ARGV[2]) then
    redis.call('PEXPIRE', KEYS[2], ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
  end
  return 1
end
if value ~= 'leasehold:several' then
  return 0
end

-- End a grant that is still ours, or leave the line, and hand over. Specification:
-- `Node::release`.
--
-- KEYS  lock, lease, line, node record
-- ARGV  run id, nonce, field of the counter
-- Returns 1, or 0 if there was nothing of ours.
local there = redis.call('MGET', KEYS[1], KEYS[3])
if not there[2] then
  if there[1] ~= ARGV[2] then
    return 0
  end
  redis.call('DEL', KEYS[1], KEYS[2])
  return 1
end

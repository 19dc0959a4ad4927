-- Delete a key that is still ours, and wake a waiter. Specification: `Node::release`.
--
-- KEYS  lock, lease
-- ARGV  nonce, channel
-- Returns 1, or 0 if the key is not ours.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1], KEYS[2])
-- A hint: without the right to publish, the lock is free all the same.
redis.pcall('PUBLISH', ARGV[2], ARGV[1])
return 1

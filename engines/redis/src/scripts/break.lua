-- Delete a key that has this nonce, raise the counter, remember who broke the lock
-- and why, and wake a waiter. With the nonce '' the lock must be free, and there is
-- nothing to delete.
--
-- A node that does not vote counts nothing: the join will put it above.
--
-- KEYS  lock, fence, lease, node record, break
-- ARGV  run id, nonce, counter wanted, retention (ms), channel, by, reason,
--       unix seconds, tokens ended (with spaces between)
-- Returns the counter, 0 if the key is another one, -1 if done but not counted on
-- a node that has not joined.
local found = redis.call('MGET', KEYS[1], KEYS[2])
if found[1] ~= (ARGV[2] ~= '' and ARGV[2]) then
  return 0
end
redis.call('HSET', KEYS[5], 'by', ARGV[6], 'reason', ARGV[7], 'at', ARGV[8], 'ended', ARGV[9])
redis.call('PEXPIRE', KEYS[5], ARGV[4])
local record = redis.call('HMGET', KEYS[4], 'joined', 'high')
local counter = -1
if record[1] == ARGV[1] then
  local high = tonumber(record[2])
  counter = math.max(tonumber(found[2] or high), tonumber(ARGV[3]))
  local text = string.format('%.0f', counter)
  redis.call('SET', KEYS[2], text, 'PX', ARGV[4])
  if counter > high then
    redis.call('HSET', KEYS[4], 'high', text)
  end
end
if found[1] then
  redis.call('DEL', KEYS[1], KEYS[3])
end
redis.pcall('PUBLISH', ARGV[5], ARGV[2])
return counter

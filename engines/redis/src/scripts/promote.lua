-- Raise the counter of a key that is still ours. Specification: `Node::promote`.
--
-- KEYS  lock, fence, node record
-- ARGV  run id, nonce, counter wanted, retention (ms)
-- Returns the counter, 0 if the key is not ours, -1 if not joined.
local record = redis.call('HMGET', KEYS[3], 'joined', 'high')
if record[1] ~= ARGV[1] then
  return -1
end
local found = redis.call('MGET', KEYS[1], KEYS[2])
if found[1] ~= ARGV[2] then
  return 0
end
local high = tonumber(record[2])
local counter = math.max(tonumber(found[2] or high), tonumber(ARGV[3]))
local text = string.format('%.0f', counter)
redis.call('SET', KEYS[2], text, 'PX', ARGV[4])
if counter > high then
  redis.call('HSET', KEYS[3], 'high', text)
end
return counter

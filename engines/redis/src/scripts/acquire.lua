-- Take the lock's key, if it is free, and count. Specification: `Node::acquire`.
--
-- KEYS  lock, fence, lease, node record
-- ARGV  run id, nonce, hold (ms), proposal, retention (ms), owner, ttl (ms), grace (ms)
-- Returns
--   {0, counter, high}                                     granted
--   {1, fence, pttl, value}                                busy, not with a lease of ours
--   {1, fence, pttl, value, owner, held (us), ttl, grace}  busy with a lease of ours
--   {2}                                                    not joined
--   {3, max_ttl (ms)}                                      too long
--   {4}                                                    counters used up
-- with the fence -1 if there is none.
--
-- Lua's own number to text conversion keeps 14 digits, hence '%.0f'. The key is
-- set last: whatever error cuts this script short leaves nobody holding.
local record = redis.call('HMGET', KEYS[4], 'joined', 'high', 'floor', 'max_ttl')
if record[1] ~= ARGV[1] then
  return {2}
end
local high = tonumber(record[2])
local max_ttl = tonumber(record[4])
local hold = tonumber(ARGV[3])
if hold > max_ttl then
  return {3, max_ttl}
end
local found = redis.call('MGET', KEYS[1], KEYS[2])
local last = tonumber(found[2] or high)

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

if found[1] == ARGV[2] then
  local left = redis.call('PTTL', KEYS[1])
  if left >= 0 and left < hold then
    redis.call('PEXPIRE', KEYS[3], ARGV[3])
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
  end
  return {0, last, high}
end
if found[1] then
  local left = redis.call('PTTL', KEYS[1])
  local fence = tonumber(found[2] or -1)
  local lease = redis.call('HMGET', KEYS[3], 'nonce', 'owner', 'at', 'ttl', 'grace')
  if lease[1] ~= found[1] then
    return {1, fence, left, found[1]}
  end
  local held = math.max(0, now() - lease[3])
  return {1, fence, left, found[1], lease[2], held, tonumber(lease[4]), tonumber(lease[5])}
end

local counter = math.max(last, tonumber(record[3]), tonumber(ARGV[4]) - 1) + 1
if counter > 9007199254740991 then
  return {4}
end
local text = string.format('%.0f', counter)
redis.call('SET', KEYS[2], text, 'PX', ARGV[5])
if counter > high then
  high = counter
  redis.call('HSET', KEYS[4], 'high', text)
end
redis.call('HSET', KEYS[3], 'nonce', ARGV[2], 'owner', ARGV[6],
  'at', string.format('%.0f', now()), 'ttl', ARGV[7], 'grace', ARGV[8])
redis.call('PEXPIRE', KEYS[3], ARGV[3])
if not redis.call('SET', KEYS[1], ARGV[2], 'NX', 'PX', ARGV[3]) then
  -- Of another type, which MGET does not tell from a free key.
  redis.call('DEL', KEYS[3])
  if not found[2] then
    -- `high` remembers the number that is gone.
    redis.call('DEL', KEYS[2])
  end
  return redis.error_reply('WRONGTYPE the key of the lock holds no string: another application uses this name')
end
return {0, counter, high}

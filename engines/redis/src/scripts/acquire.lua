-- Take the lock, or a place in its line. Specification: `Node::acquire`.
--
-- KEYS  lock, lease, line, node record
-- ARGV  run id, nonce, hold (ms), proposal, field of the counter, ttl (ms), grace (ms),
--       owner, mode (-1 exclusive, 0 shared, n permits), slot, place kept (ms; 0: no
--       place wanted), channel
-- Returns
--   counter                                              granted
--   {1, place or -1, ahead, free in (ms; -1: never), kind, who, counter, holders}
--                                                        queued or busy, with kind and
--                                                        who as `in_the_way` has them
--   {2}                                                  not joined
--   {3, max_ttl (ms)}                                    too long
--   {4}                                                  counters used up
--   {5, permits}                                         another number of permits
--
-- The usual case comes first: an exclusive lease of a lock that nobody has or waits
-- for. Lua's own number to text conversion keeps 14 digits, hence '%.0f'. The lock's
-- key is set last: whatever error cuts this script short leaves nobody holding.
local found = redis.call('HMGET', KEYS[4], 'joined', 'floor', 'max_ttl', ARGV[5])
if found[1] ~= ARGV[1] then
  return {2}
end
local floor, max_ttl = tonumber(found[2]), tonumber(found[3])
local last = math.max(tonumber(found[4] or 0), floor)
if math.max(tonumber(ARGV[3]), tonumber(ARGV[11])) > max_ttl then
  return {3, max_ttl}
end
if ARGV[9] == '-1' then
  local there = redis.call('MGET', KEYS[1], KEYS[3])
  if not there[1] and not there[2] then
    local counter = math.max(last, tonumber(ARGV[4]) - 1) + 1
    if counter > 9007199254740991 then
      return {4}
    end
    local text = string.format('%.0f', counter)
    local time = redis.call('TIME')
    redis.call('HSET', KEYS[4], ARGV[5], text)
    redis.call('SET', KEYS[2], ARGV[2] .. ' ' .. text
      .. string.format(' %.0f ', time[1] * 1000000 + time[2])
      .. ARGV[6] .. ' ' .. ARGV[7] .. ' ' .. ARGV[8], 'PX', ARGV[3])
    if not redis.call('SET', KEYS[1], ARGV[2], 'NX', 'PX', ARGV[3]) then
      -- Of another type, which MGET does not tell from a free key.
      redis.call('DEL', KEYS[2])
      return redis.error_reply('WRONGTYPE the key of the lock holds no string: another application uses this name')
    end
    return counter
  end
end

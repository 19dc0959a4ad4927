-- Take several locks that nobody has or waits for, exclusively, on the same terms:
-- what `acquire.lua` does first, once for all of them.
--
-- KEYS  node record, the locks, their leases, their lines
-- ARGV  run id, hold (ms), the longer of that and of how long places are kept (ms),
--       "ttl grace owner" (ms), and of each lock: nonce, proposal, field of the counter
-- Returns 0 if not joined, -1 if nothing was done, and else of each lock its counter,
-- or -1: nothing was done, ask for this one by itself.
--
-- Of locks that share a counter only the first is taken, so of a lock that is named
-- twice as well. What is said in `acquire.lua` of numbers, and of the order in which
-- keys are set, is so here.
local keys, argv, call = KEYS, ARGV, redis.call
local n = (#keys - 1) / 3
local ask, names = {'HMGET', keys[1], 'joined', 'floor', 'max_ttl'}, {'MGET'}
for i = 1, n do
  ask[i + 5] = argv[3 * i + 4]
  names[2 * i], names[2 * i + 1] = keys[i + 1], keys[2 * n + i + 1]
end
local found = call(unpack(ask))
if found[1] ~= argv[1] then
  return 0
end
local floor = tonumber(found[2])
if tonumber(argv[3]) > tonumber(found[3]) then
  return -1
end
local there = call(unpack(names))
local reply, texts, used, counts, last = {}, {}, {}, {'HSET', keys[1]}, 2
for i = 1, n do
  local field = argv[3 * i + 4]
  reply[i] = -1
  if not there[2 * i - 1] and not there[2 * i] and not used[field] then
    local text = argv[3 * i + 3]
    local counter, own = tonumber(text), math.max(tonumber(found[i + 3] or 0), floor)
    if counter <= own then
      counter = own + 1
      text = string.format('%.0f', counter)
    end
    if counter <= 9007199254740991 then
      used[field] = true
      counts[last + 1], counts[last + 2] = field, text
      last = last + 2
      reply[i], texts[i] = counter, text
    end
  end
end
if last == 2 then
  return reply
end
local time, hold = call('TIME'), argv[2]
local rest = string.format(' %.0f ', time[1] * 1000000 + time[2]) .. argv[4]
call(unpack(counts))
for i = 1, n do
  if texts[i] then
    local nonce, lease = argv[3 * i + 2], keys[n + i + 1]
    call('SET', lease, nonce .. ' ' .. texts[i] .. rest, 'PX', hold)
    if not call('SET', keys[i + 1], nonce, 'NX', 'PX', hold) then
      -- Of another type, which MGET does not tell from a free key.
      call('DEL', lease)
      reply[i] = -1
    end
  end
end
return reply

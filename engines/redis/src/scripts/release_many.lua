-- End several exclusive leases that are still ours and that nobody waits for: what
-- `release.lua` does first, for all of them.
--
-- KEYS  the locks, their leases, their lines
-- ARGV  of each lock: nonce
-- Returns of each lock 1, 0 if it is not ours, or -1: nothing was done, ask for this
-- one by itself.
local keys, argv, call = KEYS, ARGV, redis.call
local n = #keys / 3
local names, gone, reply, done, last = {'MGET'}, {}, {}, {'DEL'}, 1
for i = 1, n do
  names[2 * i], names[2 * i + 1] = keys[i], keys[2 * n + i]
end
local there = call(unpack(names))
for i = 1, n do
  if there[2 * i] then
    reply[i] = -1
  elseif there[2 * i - 1] ~= argv[i] or gone[keys[i]] then
    reply[i] = 0
  else
    reply[i], gone[keys[i]] = 1, true
    done[last + 1], done[last + 2] = keys[i], keys[n + i]
    last = last + 2
  end
end
if last > 1 then
  call(unpack(done))
end
return reply

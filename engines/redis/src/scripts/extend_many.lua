-- Let several exclusive leases live longer that are still ours, never shorter: what
-- `extend.lua` does first, for all of them.
--
-- KEYS  the locks, their leases
-- ARGV  hold (ms), and of each lock: nonce
-- Returns of each lock 1, 0 if it is not ours, or -1: nothing was done, ask for this
-- one by itself.
local keys, argv, call = KEYS, ARGV, redis.call
local n = #keys / 2
local hold, most = argv[1], tonumber(argv[1])
local names, reply = {'MGET'}, {}
for i = 1, n do
  names[i + 1] = keys[i]
end
local there = call(unpack(names))
for i = 1, n do
  if there[i] == argv[i + 1] then
    local left = call('PTTL', keys[i])
    if left >= 0 and left < most then
      call('PEXPIRE', keys[n + i], hold)
      call('PEXPIRE', keys[i], hold)
    end
    reply[i] = 1
  elseif there[i] == 'leasehold:several' then
    reply[i] = -1
  else
    reply[i] = 0
  end
end
return reply

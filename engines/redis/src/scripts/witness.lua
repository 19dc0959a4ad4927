-- Replace what is known of a master's slots, unless another client was faster.
--
-- KEYS  the master's witness
-- ARGV  what it was ('' for nothing), what it is to be
-- Returns 1, or 0 if it is something else meanwhile.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1

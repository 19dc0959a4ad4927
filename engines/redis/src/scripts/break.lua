-- End what has the lock, if it is among what was seen; raise the counter, remember who
-- broke it and why, and hand over. With nothing seen the lock must be free.
--
-- A node that does not vote counts nothing: the join will put it above.
--
-- KEYS  lock, lease, line, node record, break
-- ARGV  run id, counter wanted, field of the counter, kept (ms), by, reason,
--       unix seconds, tokens ended (with spaces between), then the values seen: nonces
--       of leases, or what a foreign client wrote
-- Returns the counter, 0 if something else has the lock, -1 if done but not counted on
-- a node that has not joined.
load()
local seen = {}
for at = 9, #ARGV do
  seen[ARGV[at]] = true
end
for _, grant in ipairs(lock.grants) do
  if not seen[grant.nonce] then
    return 0
  end
end
if lock.value and #lock.grants == 0 and not seen[lock.value] then
  return 0
end
redis.call('HSET', KEYS[5], 'by', ARGV[5], 'reason', ARGV[6], 'at', ARGV[7], 'ended', ARGV[8])
redis.call('PEXPIRE', KEYS[5], ARGV[4])
local record = read_record(ARGV[3])
local counter = -1
if record.joined == ARGV[1] then
  counter = counted(record, math.max(record.last, tonumber(ARGV[2])))
end
if lock.value then
  lock.grants = {}
  rekey()
end
pass_on(ARGV[1], ARGV[3])
store()
publish()
return counter

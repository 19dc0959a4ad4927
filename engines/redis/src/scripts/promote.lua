-- Raise the counter of a grant that is still ours. Specification: `Node::promote`.
--
-- KEYS  lock, lease, line, node record
-- ARGV  run id, nonce, counter wanted, field of the counter
-- Returns the counter, 0 if there is no grant of ours, -1 if not joined.
local record = read_record(ARGV[4])
if record.joined ~= ARGV[1] then
  return -1
end
load()
local grant = find(lock.grants, ARGV[2])
if not grant then
  return 0
end
local counter = renumber(record, grant.counter, tonumber(ARGV[3]))
if counter ~= grant.counter then
  grant.counter = counter
  rekey()
  store()
end
return counter

-- Move our place in the line. Specification: `Node::place`.
--
-- KEYS  lock, lease, line
-- ARGV  nonce, place
-- Returns 1, or 0 if we have none.
load()
local waiter = find(lock.wait, ARGV[1])
if not waiter then
  return 0
end
waiter.place = tonumber(ARGV[2])
sort()
store()
return 1

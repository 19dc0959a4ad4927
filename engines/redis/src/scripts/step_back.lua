-- Give up our grant for a place in the line. Specification: `Node::step_back`.
--
-- KEYS  lock, lease, line, node record
-- ARGV  run id, nonce, in favour of, greatest counter meant, place, place kept (ms),
--       channel, field of the counter
-- Returns 1, or 0 if there is no such grant of ours.
load()
local grant = find(lock.grants, ARGV[2])
if not grant or grant.counter > tonumber(ARGV[4]) then
  return 0
end
remove(grant.nonce)
lock.wait[#lock.wait + 1] = {place = tonumber(ARGV[5]), nonce = grant.nonce, mode = grant.mode,
  ends = now + tonumber(ARGV[6]) * 1000, since = now, ttl = grant.ttl, grace = grant.grace,
  channel = ARGV[7], owner = grant.owner}
sort()
local favoured = find(lock.wait, ARGV[3])
if favoured then
  favoured.place = math.max(0, lock.wait[1].place - 1)
  sort()
end
pass_on(ARGV[1], ARGV[8])
store()
publish()
return 1

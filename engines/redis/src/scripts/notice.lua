-- Write down that the node's loss was noticed, unless it is written already.
-- Specification: `Node::notice`. The uptime is asked after this, never before: a
-- flush in between would be missed.
--
-- KEYS  node record
-- ARGV  run id, ticket
-- Returns {ticket, how long ago (us), now (us), joined, mark, max_ttl (ms)}, the
-- last three {.., '', 0, 0} without a record.
local ticket, at = f.ticket, f.noticed_at
if f.noticed_run ~= ARGV[1] then
  ticket, at = ARGV[2], now
  redis.call('HSET', KEYS[1], 'noticed_run', ARGV[1], 'ticket', ticket,
    'noticed_at', string.format('%.0f', now))
end
return {ticket, math.max(0, now - at), now, f.joined or '', mark, tonumber(f.max_ttl or 0)}

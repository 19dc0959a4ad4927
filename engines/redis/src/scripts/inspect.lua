-- What this node says of itself; changes nothing. Specification: `Node::inspect`.
--
-- KEYS  node record
-- Returns {now (us), joined, mark, max_ttl (ms)}, the last three {.., '', 0, 0} without
-- a record.
return {now, f.joined or '', mark, tonumber(f.max_ttl or 0)}

load()
local grant = find(lock.grants, ARGV[1])
if not grant or grant.slot ~= tonumber(ARGV[3]) then
  return 0
end
grant.ends = math.max(grant.ends, now + tonumber(ARGV[2]) * 1000)
rekey()
store()
return 1

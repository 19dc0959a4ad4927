-- The node's record and its mark: no counter granted or backed here is greater.
local f, mark = {}, 0
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local field, value = all[at], all[at + 1]
  f[field] = value
  if field == 'floor' or field == 'backed' or string.find(field, '^c%d+$') then
    mark = math.max(mark, tonumber(value))
  end
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

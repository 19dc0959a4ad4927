-- The lock as `Lock` in core's model has it: read whole, changed here, written back
-- by `store`. Needs the keys lock, lease, line, in this order.
--
-- A grant is {nonce, mode, slot, counter, ends, at, ttl, grace, owner}, a waiter is
-- {place, nonce, mode, ends, since, ttl, grace, channel, owner}. Ends and times are in
-- microseconds by the server's clock, ttl and grace in ms.
local SEVERAL, EXCLUSIVE, MAX = 'leasehold:several', -1, 9007199254740991
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lock = {grants = {}, wait = {}, keyed = false, lined = false}
local told = {}

local function digits(number)
  return string.format('%.0f', number)
end

local function garbage(key)
  error('the key ' .. key .. ' holds what Leasehold did not write there: if no lease of this lock is held, delete it', 0)
end

local function get(key)
  local text = redis.pcall('GET', key)
  if type(text) == 'table' then
    garbage(key)
  end
  return text
end

local function has(thing, texts, numbers)
  if type(thing) ~= 'table' then
    return false
  end
  for _, field in ipairs(texts) do
    if type(thing[field]) ~= 'string' then
      return false
    end
  end
  for _, field in ipairs(numbers) do
    if type(thing[field]) ~= 'number' then
      return false
    end
  end
  return true
end

local function live(things, texts, numbers)
  local found = {}
  if type(things) ~= 'table' then
    garbage(KEYS[3])
  end
  for _, thing in ipairs(things) do
    if not has(thing, texts, numbers) then
      garbage(KEYS[3])
    end
    if thing.ends > now then
      found[#found + 1] = thing
    end
  end
  return found
end

local function load()
  lock.value = redis.call('GET', KEYS[1])
  if lock.value then
    local left = redis.call('PTTL', KEYS[1])
    lock.ends = left < 0 and math.huge or now + left * 1000
  end
  local text = get(KEYS[3])
  lock.lined = text ~= false
  if text then
    local fine, line = pcall(cmsgpack.unpack, text)
    if not fine or type(line) ~= 'table' then
      garbage(KEYS[3])
    end
    lock.wait = live(line.wait, {'nonce', 'channel', 'owner'},
      {'place', 'mode', 'ends', 'since', 'ttl', 'grace'})
    local grants = live(line.grants, {'nonce', 'owner'},
      {'mode', 'slot', 'counter', 'ends', 'at', 'ttl', 'grace'})
    if lock.value == SEVERAL then
      lock.grants = grants
    end
  end
  if lock.value and lock.value ~= SEVERAL then
    local lease = get(KEYS[2])
    if lease then
      local nonce, counter, at, ttl, grace, owner =
        string.match(lease, '^(%x+) (%d+) (%d+) (%d+) (%d+) (.*)$')
      if not nonce then
        garbage(KEYS[2])
      end
      if nonce == lock.value then
        lock.grants = {{nonce = nonce, mode = EXCLUSIVE, slot = 0, counter = tonumber(counter),
          ends = lock.ends, at = tonumber(at), ttl = tonumber(ttl), grace = tonumber(grace),
          owner = owner}}
      end
    end
  end
end

-- How long until then, in ms rounded up; -1 for ever.
local function left(ends)
  if ends == math.huge then
    return -1
  end
  return math.max(0, math.ceil((ends - now) / 1000))
end

local function put(key, value, ends)
  if ends == math.huge then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PX', digits(math.max(1, left(ends))))
  end
end

-- The lock's own key comes last.
local function store()
  local several, exclusive, last = {}, nil, 0
  for _, grant in ipairs(lock.grants) do
    if grant.mode == EXCLUSIVE then
      exclusive = grant
    else
      several[#several + 1] = grant
      last = math.max(last, grant.ends)
    end
  end
  local ends = last
  for _, waiter in ipairs(lock.wait) do
    ends = math.max(ends, waiter.ends)
  end
  if ends > 0 then
    put(KEYS[3], cmsgpack.pack({grants = several, wait = lock.wait}), ends)
  elseif lock.lined then
    redis.call('DEL', KEYS[3])
  end
  if not lock.keyed then
    return
  end
  if exclusive then
    put(KEYS[2], table.concat({exclusive.nonce, digits(exclusive.counter), digits(exclusive.at),
      digits(exclusive.ttl), digits(exclusive.grace), exclusive.owner}, ' '), exclusive.ends)
    put(KEYS[1], exclusive.nonce, exclusive.ends)
  elseif #several > 0 then
    redis.call('DEL', KEYS[2])
    put(KEYS[1], SEVERAL, last)
  else
    redis.call('DEL', KEYS[1], KEYS[2])
  end
end

-- A hint: without the right to publish, what was done is done all the same.
local function publish()
  for _, push in ipairs(told) do
    redis.pcall('PUBLISH', push.channel, push.text)
  end
end

local function find(things, nonce)
  for at, thing in ipairs(things) do
    if thing.nonce == nonce then
      return thing, at
    end
  end
end

local function sort()
  table.sort(lock.wait, function(one, other)
    if one.place ~= other.place then
      return one.place < other.place
    end
    return one.nonce < other.nonce
  end)
end

-- What the lock's key says follows from the grants, as `set_key` does it.
local function rekey()
  lock.keyed = true
  lock.value, lock.ends = false, nil
  for _, grant in ipairs(lock.grants) do
    lock.value = grant.mode == EXCLUSIVE and grant.nonce or SEVERAL
    lock.ends = math.max(lock.ends or 0, grant.ends)
  end
end

local function remove(nonce)
  local _, granted = find(lock.grants, nonce)
  if granted then
    table.remove(lock.grants, granted)
    rekey()
  end
  local _, waiting = find(lock.wait, nonce)
  if waiting then
    table.remove(lock.wait, waiting)
  end
  return granted or waiting
end

local function has_room(mode, slot)
  if not lock.value then
    return true
  end
  if lock.value ~= SEVERAL or #lock.grants == 0 or mode == EXCLUSIVE then
    return false
  end
  for _, grant in ipairs(lock.grants) do
    if grant.mode ~= mode or (mode > 0 and grant.slot == slot) then
      return false
    end
  end
  return mode == 0 or #lock.grants < mode
end

local function grant_to(asks, mode, slot, counter, ends)
  local _, waiting = find(lock.wait, asks.nonce)
  if waiting then
    table.remove(lock.wait, waiting)
  end
  lock.grants[#lock.grants + 1] = {nonce = asks.nonce, mode = mode, slot = slot,
    counter = counter, ends = ends, at = now, ttl = asks.ttl, grace = asks.grace,
    owner = asks.owner}
  rekey()
end

-- The record of the node as a script of one lock needs it.
local function read_record(field)
  local f = redis.call('HMGET', KEYS[4], 'joined', 'floor', field)
  local floor = tonumber(f[2] or 0)
  return {joined = f[1], floor = floor, own = tonumber(f[3] or -1), last = math.max(tonumber(f[3] or 0), floor), field = field}
end

local function counted(record, counter)
  record.last = counter
  redis.call('HSET', KEYS[4], record.field, digits(counter))
  return counter
end

-- The next counter, or nil if they are used up.
local function count(record, proposal)
  local counter = math.max(record.last, proposal - 1) + 1
  return counter <= MAX and counted(record, counter) or nil
end

local function renumber(record, own, to)
  if own >= to and own > record.floor then
    return own
  end
  return counted(record, math.max(math.min(record.last + 1, MAX), to))
end

local function tell(waiter, kind, number)
  told[#told + 1] = {nonce = waiter.nonce, kind = kind, channel = waiter.channel,
    text = kind .. ' ' .. waiter.nonce .. ' ' .. digits(number)}
end

-- Tells those who wait for a permit which one to ask for.
local function call(n)
  local slot, room = 0, n - #lock.grants
  for at, waiter in ipairs(lock.wait) do
    if waiter.mode ~= n or at > room then
      return
    end
    while slot < n and not has_room(n, slot) do
      slot = slot + 1
    end
    if slot == n then
      return
    end
    tell(waiter, 'f', slot)
    slot = slot + 1
  end
end

local function hand_over(record)
  while lock.wait[1] do
    local first = lock.wait[1]
    if first.mode > 0 then
      call(first.mode)
      return
    end
    local counter = has_room(first.mode, 0) and count(record, 0)
    if not counter then
      return
    end
    local most = now + (first.ttl + first.grace) * 1000
    grant_to(first, first.mode, 0, counter, math.min(first.ends, most))
    tell(first, 'h', counter)
  end
end

-- To whoever is first; a node that does not vote only calls.
local function pass_on(run_id, field)
  if not lock.wait[1] then
    return
  end
  local record = read_record(field)
  if record.joined == run_id then
    hand_over(record)
  else
    tell(lock.wait[1], 'f', 0)
  end
end

-- What people are told of the holders, at most so many.
local function holders(most)
  local found = {}
  if lock.value and #lock.grants == 0 then
    return {{lock.value, left(lock.ends)}}
  end
  for _, grant in ipairs(lock.grants) do
    if #found < most then
      found[#found + 1] = {lock.value, left(grant.ends), grant.nonce, grant.owner, grant.mode,
        grant.slot, grant.counter, math.max(0, now - grant.at), grant.ttl, grant.grace}
    end
  end
  return found
end

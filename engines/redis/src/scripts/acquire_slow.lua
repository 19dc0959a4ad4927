-- Somebody has the lock or waits for it, or the request is no exclusive one.
load()
local nonce, mode, slot = ARGV[2], tonumber(ARGV[9]), tonumber(ARGV[10])
local proposal, kept = tonumber(ARGV[4]), tonumber(ARGV[11])
local ends = now + tonumber(ARGV[3]) * 1000
local record = {joined = found[1], floor = floor, last = last, field = ARGV[5]}
local asks = {nonce = nonce, mode = mode, ttl = tonumber(ARGV[6]), grace = tonumber(ARGV[7]),
  owner = ARGV[8], channel = ARGV[12]}

-- Kind and who: 0 nobody, 1 a lease (its nonce), 2 several (the least nonce of those
-- in the way), 3 a foreign client (its value); and how long, in ms.
local function in_the_way()
  if not lock.value then
    return 0, '', 0
  end
  if lock.value ~= SEVERAL then
    return #lock.grants == 0 and 3 or 1, lock.value, left(lock.ends)
  end
  local who, first
  for _, grant in ipairs(lock.grants) do
    if grant.mode > 0 then
      first = math.min(first or grant.ends, grant.ends)
    end
    if (grant.mode ~= mode or grant.slot == slot) and (not who or grant.nonce < who) then
      who = grant.nonce
    end
  end
  return who and 2 or 0, who or '', left(first or lock.ends)
end

local function busy(place, ahead)
  local kind, who, free_in = in_the_way()
  return {1, place, ahead, free_in, kind, who, record.last, holders(mode > 0 and #lock.grants or 8)}
end

-- A counter, false if they are used up, or nil and, if so, the clashing number.
local function admit()
  local ahead, alike = 0, true
  local waits = false
  if mode > 0 then
    for _, things in ipairs({lock.grants, lock.wait}) do
      for _, thing in ipairs(things) do
        if thing.nonce ~= nonce or things == lock.grants then
          if thing.mode > 0 and thing.mode ~= mode then
            return nil, thing.mode
          end
        end
      end
    end
  end
  for _, waiter in ipairs(lock.wait) do
    if waiter.nonce == nonce then
      break
    end
    ahead = ahead + 1
    alike = alike and waiter.mode == mode
  end
  local admitted = ahead == 0
  if mode == 0 then
    admitted = alike
  elseif mode > 0 then
    admitted = alike and slot < mode and #lock.grants + ahead < mode
  end
  if not admitted or not has_room(mode, slot) then
    return nil
  end
  return count(record, proposal) or false
end

local function decide()
  local grant = find(lock.grants, nonce)
  if grant and grant.slot == slot then
    grant.ends = math.max(grant.ends, ends)
    grant.counter = renumber(record, grant.counter, proposal)
    rekey()
    return grant.counter
  end
  if grant then
    if proposal <= grant.counter then
      -- Another permit than ours, by a request that is older than ours is.
      return busy(-1, 0)
    end
    remove(nonce)
  end
  local counter, clash = admit()
  if clash then
    return {5, clash}
  elseif counter == false then
    return {4}
  elseif counter then
    grant_to(asks, mode, slot, counter, ends)
    return counter
  end
  if kept > 0 then
    local waiter = find(lock.wait, nonce)
    if waiter then
      waiter.ends = math.max(waiter.ends, now + kept * 1000)
      waiter.channel = asks.channel
    else
      local before = lock.wait[#lock.wait]
      asks.place = (before and before.place or 0) + 1
      asks.ends, asks.since = now + kept * 1000, now
      lock.wait[#lock.wait + 1] = asks
      sort()
    end
  end
  -- Whoever had it may have run out, with nobody to hand over.
  hand_over(record)
  -- Whoever asks may have asked for a permit that is taken while one is free.
  local kept_pushes = {}
  for _, push in ipairs(told) do
    if push.nonce == nonce or push.kind == 'h' then
      kept_pushes[#kept_pushes + 1] = push
    end
  end
  told = kept_pushes
  grant = find(lock.grants, nonce)
  if grant then
    return grant.counter
  end
  local waiter, at = find(lock.wait, nonce)
  if kept > 0 then
    return busy(waiter.place, at - 1)
  end
  return busy(-1, 0)
end

local reply = decide()
store()
publish()
return reply

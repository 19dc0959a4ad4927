load()
local nonce = ARGV[2]
if not remove(nonce) then
  if lock.value ~= nonce then
    return 0
  end
  -- Ours, though what we wrote beside it is gone.
  rekey()
end
pass_on(ARGV[1], ARGV[3])
store()
publish()
return 1

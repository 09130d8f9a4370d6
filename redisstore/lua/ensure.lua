-- Stores a record if there is none. Else sees to it that the record lives for the time given, if it
-- would end sooner.
-- ARGV: as for set.lua.
-- Returns {1, wake, ms left or -1 for no end} if it has stored, else {0, 0, ms left or -1, frame and
-- data}.
-- The clients of this package send no copies: see add.lua. A tombstone counts as no record.
agree()
local ttl = tonumber(ARGV[3])
if not present or tombstone then
  local woken = wake(ARGV[2])
  store(ARGV[1], ARGV[3], false, ARGV[4])
  return {1, woken, ttl > 0 and ttl - 1 or -1}
end
local left = dies == 0 and -1 or math.max(0, dies - now - 1)
if left >= 0 and (ttl == 0 or left < ttl - 1) then
  life = ttl
  dies = ttl > 0 and now + ttl or 0
  left = ttl > 0 and ttl - 1 or -1
  save()
end
return {0, 0, left, redis.call('GET', key)}

-- Comes in front of every script. It reads the frame of the script's only key: the 64 bytes in
-- front of the record's data. It also has the functions that write the frame. docs/redis-frame.md
-- has the layout. Scripts never look at the data.
local key = KEYS[1]
local BLANK = string.rep(' ', 22)

-- The Version of a value without a frame.
local FOREIGN = 'foreign' .. string.rep('-', 15)

-- No lease is longer than LONGEST, in ms. Times that differ by no more than SLACK ms agree.
local LONGEST, SLACK = 86400000, 10

-- number reads the six bytes at i, the highest first.
local function number(s, i)
  local a, b, c, d, e, f = string.byte(s, i, i + 5)
  return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
end

-- bytes is the reverse of number.
local function bytes(n)
  local floor = math.floor
  return string.char(floor(n / 1099511627776) % 256, floor(n / 4294967296) % 256,
    floor(n / 16777216) % 256, floor(n / 65536) % 256, floor(n / 256) % 256, n % 256)
end

-- now is the server's time in ms since 1970.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- These are the fields of the frame:
--   lease     the grant of the lease, or BLANK
--   producer  the Version of the record, or BLANK
--   dies      when the record ends, 0 = never
--   deadline  when the lease ends; it may stay in the frame after the lease
--   life      the time that was left when the record was written, touched or leased, 0 = for ever
-- foreign means that the key has no frame, is of another type, or is absent. All that write take it
-- for absent.
local lease, producer, dies, deadline, life, flags = BLANK, BLANK, 0, 0, 0, 0
local foreign = true
local head = redis.pcall('GETRANGE', key, 0, 63)

-- isFrame reports whether head is a frame. Text is never taken for one, since the first bytes of
-- its numbers would be 32 or more. The letters of lease and producer are checked too, so that
-- nobody waits for a lease that was never granted.
local function isFrame()
  if type(head) ~= 'string' or #head ~= 64 or not string.find(head, '^z[0-7]') then return false end
  if math.max(string.byte(head, 47), string.byte(head, 53), string.byte(head, 59)) >= 32 then
    return false
  end
  local grant, by = string.sub(head, 3, 24), string.sub(head, 25, 46)
  return (grant == BLANK or
      string.find(grant, '^[%w_%-]+$') and string.find(string.sub(grant, 13), '^%d+$')) and
    (by == BLANK or string.find(by, '^[%w_%-]+$'))
end
if isFrame() then
  foreign = false
  flags = string.byte(head, 2) - 48
  lease, producer = string.sub(head, 3, 24), string.sub(head, 25, 46)
  dies, deadline, life = number(head, 47), number(head, 53), number(head, 59)
end

-- These follow from the fields:
--   revoked    nothing may be stored under the lease
--   waited     somebody waits for the end of the lease
--   tombstone  the record is a tombstone
--   present    there is a record or a tombstone, and it has not ended
--   live       there is a lease, revoked or not, and its deadline has not come
local revoked, waited, tombstone = flags % 2 == 1, flags % 4 >= 2, flags >= 4
local present, live

local function derive()
  present = producer ~= BLANK and (dies == 0 or now < dies)
  live = lease ~= BLANK and now < deadline
end
derive()

-- frame returns the frame that has the fields above.
local function frame()
  local n = 48 + (revoked and 1 or 0) + (waited and 2 or 0) + (tombstone and 4 or 0)
  return 'z' .. string.char(n) .. lease .. producer .. bytes(dies) .. bytes(deadline) .. bytes(life)
end

-- write puts the frame in front of the data.
local function write() redis.call('SETRANGE', key, 0, frame()) end

-- expire makes the key end at the later of dies and deadline, or never if the record never ends.
-- Redis is told one ms less, since it keeps a key to the end of the ms in which the key expires. If
-- that is the present ms, Redis removes the key at once.
local function expire()
  if producer ~= BLANK and dies == 0 then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIREAT', key, math.max(dies, deadline) - 1)
  end
end

-- save sets the expiry of a key that exists, and writes its frame. The order matters on a full
-- server, which refuses a command that may need memory, unless the script has written before.
-- SETRANGE may need memory. Setting the expiry needs none, so it comes first. A key in its last ms
-- has its expiry already, and setting it again would remove the key.
--
-- The clock goes on while a script runs. If the end has come by then, expire removes the key, and
-- write makes one that never ends.
local function save()
  local forever, ends = producer ~= BLANK and dies == 0, math.max(dies, deadline) - 1
  if forever or ends > now then expire() end
  write()
  if not forever and ends < now + 1000 and redis.call('PTTL', key) == -1 then
    redis.call('DEL', key)
  end
end

-- agree makes frame and expiry of the key agree, if somebody else has changed one of them: EXPIRE,
-- PERSIST, RESTORE, or other bytes. Else readers, who go by the expiry, and scripts, who go by the
-- frame, would send a loader back and forth between them. Of two times that contradict each other
-- the sooner counts. A key that has neither record nor lease stays as it is: it counts as absent.
local function agree()
  if not present and not live then return end
  local old, left = frame(), redis.call('PTTL', key)
  local keyEnds = left >= 0 and now + left + 1
  if producer ~= BLANK then
    if life ~= 0 and (dies == 0 or dies > now + life + SLACK) then dies = now + life end
    if keyEnds and (dies == 0 or dies > keyEnds + SLACK) then dies = keyEnds end
    if dies ~= 0 and life == 0 then life = dies - now end
  end
  if deadline > now + LONGEST then deadline = 0 end
  if keyEnds and deadline > keyEnds + SLACK then deadline = keyEnds end
  derive()
  head = frame()
  local ends = producer ~= BLANK and dies == 0 or math.max(dies, deadline)
  local agrees = ends == true or keyEnds and keyEnds <= ends + SLACK
  if head ~= old or not agrees then save() end
end

-- wake publishes that the lease has ended, if somebody waits for that. The channel has the name of
-- the key. verb is PUBLISH, or SPUBLISH on a Cluster. It returns 0 if nobody waits, 1 if it has
-- published, and 2 if the server refused.
local function wake(verb)
  if lease == BLANK or not waited then return 0 end
  local reply = redis.pcall(verb, key, 'w')
  return type(reply) == 'table' and reply.err and 2 or 1
end

-- store puts a record into the key, and so ends a lease. blob is 64 blank bytes, which become the
-- frame, and the data. The record ends at ends (0 = never), or if that is nil or false, ttl ms from
-- now (0 = never).
local function store(id, ttl, isTombstone, blob, ends)
  lease, producer, dies, deadline, life = BLANK, id, 0, 0, tonumber(ttl)
  if ends then
    dies, life = ends, math.max(0, ends - now)
  elseif life > 0 then
    dies = now + life
  end
  revoked, waited, tombstone = false, false, isTombstone
  redis.call('SET', key, blob)
  write()
  if life > 0 then expire() end
end

-- endLease removes the lease. A record stays as it is. A key that has none is removed.
local function endLease()
  if present then
    lease, revoked, waited = BLANK, false, false
    save()
  else
    redis.call('DEL', key)
  end
end

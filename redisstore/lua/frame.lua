-- In front of every script: reads the frame of the one key it is about, 64 bytes in front of the payload, and has what
-- writes it. docs/redis-frame.md has the layout. The payload is never touched.
local key = KEYS[1]
local NOBODY = string.rep(' ', 22)

local function number(s, i)
  local a, b, c, d, e, f = string.byte(s, i, i + 5)
  return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
end

local function bytes(n)
  local floor = math.floor
  return string.char(floor(n / 1099511627776) % 256, floor(n / 4294967296) % 256, floor(n / 16777216) % 256,
    floor(n / 65536) % 256, floor(n / 256) % 256, n % 256)
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- A key of another type, or one that holds something else, is as good as none.
local lease, producer, dies, deadline, life, flags = NOBODY, NOBODY, 0, 0, 0, 0
local foreign = true
local head = redis.pcall('GETRANGE', key, 0, 63)
-- Text is never taken for a frame: its numbers would begin with a byte of 32 or more. And nobody may wait for what no grant is.
local function isFrame()
  if type(head) ~= 'string' or #head ~= 64 or not string.find(head, '^z[0-7]') then return false end
  if math.max(string.byte(head, 47), string.byte(head, 53), string.byte(head, 59)) >= 32 then return false end
  local grant, by = string.sub(head, 3, 24), string.sub(head, 25, 46)
  return (grant == NOBODY or string.find(grant, '^[%w_%-]+$') and string.find(string.sub(grant, 13), '^%d+$')) and
    (by == NOBODY or string.find(by, '^[%w_%-]+$'))
end
if isFrame() then
  foreign = false
  flags = string.byte(head, 2) - 48
  lease, producer = string.sub(head, 3, 24), string.sub(head, 25, 46)
  dies, deadline, life = number(head, 47), number(head, 53), number(head, 59)
end
local void, waited, mark = flags % 2 == 1, flags % 4 >= 2, flags >= 4
local there = producer ~= NOBODY and (dies == 0 or now < dies)
local live = lease ~= NOBODY and now < deadline

local function frame()
  local n = 48 + (void and 1 or 0) + (waited and 2 or 0) + (mark and 4 or 0)
  return 'z' .. string.char(n) .. lease .. producer .. bytes(dies) .. bytes(deadline) .. bytes(life)
end

-- write puts the fields in front of the payload.
local function write() redis.call('SETRANGE', key, 0, frame()) end

-- expire makes the key end when the fields say so. Redis keeps a key until the end of its last millisecond, and removes it at once
-- if that is the present one.
local function expire()
  if producer ~= NOBODY and dies == 0 then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIREAT', key, math.max(dies, deadline) - 1)
  end
end

-- save is both for a key that is there, also when the server is full: then it refuses what may need memory, unless the script has
-- written before. The expiry needs none; in its last millisecond a key has it.
local function save()
  if math.max(dies, deadline) - 1 > now or dies == 0 then expire() end
  write()
end

-- wake tells those who wait for the lease that it is over: 1 = told, 2 = refused, 3 = to be told by the caller.
local function wake(channel)
  if lease == NOBODY or not waited then return 0 end
  if channel == '' then return 3 end
  local reply = redis.pcall('PUBLISH', channel, 'w' .. key)
  return type(reply) == 'table' and reply.err and 2 or 1
end

-- store makes blob, of which the first 64 bytes are blank, the record of the key, and ends a lease. It dies after ttl, unless ends
-- says when.
local function store(id, ttl, isMark, blob, ends)
  lease, producer, dies, deadline, life = NOBODY, id, 0, 0, tonumber(ttl)
  if ends then
    dies, life = ends, math.max(0, ends - now)
  elseif life > 0 then
    dies = now + life
  end
  void, waited, mark = false, false, isMark
  redis.call('SET', key, blob)
  write()
  if life > 0 then expire() end
end

-- leave ends the lease: a record stays as it is, a key without one goes.
local function leave()
  if there then
    lease, void, waited = NOBODY, false, false
    save()
  else
    redis.call('DEL', key)
  end
end

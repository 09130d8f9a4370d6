-- Asks for the lease.
-- ARGV: the digest of the asked token, 12 bytes; how long the lease is to last, in ms; the Version
-- seen, or ''; '1' to take the lease by force; a random number, another one in every Ask.
-- Returns {1, grant} if the lease is granted, {2, the holder's grant, ms left} if another holds it,
-- {3, ms left or -1 for no end, frame and data} if there is a record, or {4} if there is a value
-- without a frame other than the one seen. The data is left out if it is large.
local asked, force = ARGV[1], ARGV[4] == '1'
if live and not revoked and string.sub(lease, 1, 12) == asked then return {1, lease} end

if foreign and head ~= '' and not force and ARGV[3] ~= FOREIGN then return {4} end

agree()
if present and not force and (tombstone or producer ~= ARGV[3]) then
  local left = dies == 0 and -1 or math.max(0, dies - now - 1)
  if tombstone or redis.call('STRLEN', key) <= 64 + 16384 then
    return {3, left, redis.call('GET', key)}
  end
  return {3, left, head}
end

if live and not force then
  -- Set the flag waited, so that the end of the lease is published. A full server refuses that, and
  -- then the asker polls.
  if not waited then redis.pcall('SETRANGE', key, 1, string.char(string.byte(head, 2) + 2)) end
  return {2, lease, deadline - now}
end

-- The stamp, ten digits, makes every grant of one token a different one. Two copies of one command
-- are carried out at different times, and two commands have different random numbers.
lease = asked .. string.format('%010.0f', (time[1] * 1000000 + time[2] + ARGV[5]) % 10000000000)
revoked, waited = false, live and waited
local ends = now + tonumber(ARGV[2])
if present then
  local later = math.max(ends, deadline)
  -- A reader that has sent PTTL but not yet GET will subtract deadline - dies. If deadline is set
  -- back here, that difference is too small. So life, the reader's upper limit, becomes what is
  -- left.
  if dies ~= 0 and deadline > math.max(ends, dies) then life = math.max(1, dies - now - 1) end
  deadline = ends
  write()
  if dies ~= 0 and later > dies then expire() end
else
  producer, dies, deadline, life, tombstone = BLANK, 0, ends, 0, false
  redis.call('SET', key, frame())
  expire()
end
return {1, lease}

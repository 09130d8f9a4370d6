-- Asks for the lease: ARGV = asked (12 bytes), its length in ms, the version seen or '', '1' to take it by force, and a
-- number that is another in every ask.
-- Returns {1, grant} = won, {2, holder, ms left} = busy, or {3, ms left or -1, frame or frame and payload} = there is a record.
local asked, force = ARGV[1], ARGV[4] == '1'
if live and not void and string.sub(lease, 1, 12) == asked then return {1, lease} end

if there and not force and (mark or producer ~= ARGV[3]) then
  local left = redis.call('PTTL', key)
  if dies ~= 0 then
    local sure = dies - now - 1
    if left >= 0 then sure = math.min(sure, left - math.max(0, deadline - dies)) end
    left = math.max(0, sure)
  end
  if mark or redis.call('STRLEN', key) <= 64 + 16384 then return {3, left, redis.call('GET', key)} end
  return {3, left, head}
end

if live and not force then
  -- A server that is full refuses it, and then they poll.
  if not waited then redis.pcall('SETRANGE', key, 1, string.char(string.byte(head, 2) + 2)) end
  return {2, lease, deadline - now}
end

-- The stamp makes each grant of one token another one: copies of one command differ by the time, others by the number.
lease = asked .. string.format('%010.0f', (time[1] * 1000000 + time[2] + ARGV[5]) % 10000000000)
void, waited = false, live and waited
local ends = now + tonumber(ARGV[2])
if there then
  local later = math.max(ends, deadline)
  -- Who has asked PTTL and not yet GET subtracts deadline - dies. If that becomes less here, life has to be what is left.
  if dies ~= 0 and deadline > math.max(ends, dies) then life = math.max(1, dies - now - 1) end
  deadline = ends
  write()
  if dies ~= 0 and later > dies then expire() end
else
  producer, dies, deadline, life, mark = NOBODY, 0, ends, 0, false
  redis.call('SET', key, frame())
  expire()
end
return {1, lease}

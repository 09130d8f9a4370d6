-- Is set for each of many keys, which are all on this server.
-- ARGV: PUBLISH or SPUBLISH; for each key the Version, the time to live in ms, or 0 for ever, and 64 blank
-- bytes and the data.
-- Returns the result of wake for each key.
local wakes = {}
for i, k in ipairs(KEYS) do
  key, head = k, redis.pcall('GETRANGE', k, 0, 63)
  lease, waited = BLANK, false
  if isFrame() then
    lease, waited = string.sub(head, 3, 24), (string.byte(head, 2) - 48) % 4 >= 2
  end
  wakes[i] = wake(ARGV[1])
  store(ARGV[3 * i - 1], ARGV[3 * i], false, ARGV[3 * i + 1])
end
return wakes

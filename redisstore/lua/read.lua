-- Reads the key for a reader that cannot tell the time left: frame and expiry contradict each other.
-- It makes them agree, so that the next reader can.
-- Returns {{the server's time in ms, left, frame and data}, 0}. left is the time left in ms, -1 for
-- no end, or -2 if there is no record; then there is neither frame nor data.
-- A value without a frame is returned as it is, with left -1.
agree()
if foreign then
  local value = redis.pcall('GET', key)
  if type(value) == 'string' then return {{now, -1, value}, 0} end
  return {{now, value and -1 or -2, ''}, 0}
end
if not present or tombstone then return {{now, -2, ''}, 0} end
return {{now, dies == 0 and -1 or math.max(0, dies - now - 1), redis.call('GET', key)}, 0}

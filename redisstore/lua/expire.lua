-- Gives the record another time to live.
-- ARGV: the time in ms from now, or 0 for ever.
-- Returns {1, 0}, or {0, 0} if there is no record.
if not present or tombstone then return {0, 0} end
life = tonumber(ARGV[1])
dies = life > 0 and now + life or 0
save()
return {1, 0}

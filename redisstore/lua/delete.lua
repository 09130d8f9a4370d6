-- Removes the key with all it holds.
-- ARGV: PUBLISH or SPUBLISH.
-- Returns {1, wake} if there was a record, else {0, wake}.
local woken = wake(ARGV[1])
redis.call('DEL', key)
return {present and not tombstone and 1 or 0, woken}

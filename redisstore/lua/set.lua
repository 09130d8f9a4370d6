-- Stores a record, whatever the key holds, and ends a lease.
-- ARGV: the Version; PUBLISH or SPUBLISH; the time to live in ms, or 0 for ever; 64 blank bytes and the
-- data.
-- Returns {1, wake}.
local woken = wake(ARGV[2])
store(ARGV[1], ARGV[3], false, ARGV[4])
return {1, woken}

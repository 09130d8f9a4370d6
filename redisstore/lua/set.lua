-- Stores a record, whatever is there, and ends a lease: ARGV = its production id, channel, life in ms or 0, 64 blank bytes and
-- payload. Returns {1, wake}.
local woken = wake(ARGV[2])
store(ARGV[1], ARGV[3], false, ARGV[4])
return {1, woken}

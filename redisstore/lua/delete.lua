-- Removes the key with whatever it holds: ARGV = channel. Returns {1, wake} if that was a record, else {0, wake}.
local woken = wake(ARGV[1])
redis.call('DEL', key)
return {there and not mark and 1 or 0, woken}

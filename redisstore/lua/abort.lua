-- Ends a lease: ARGV = the grant, or the first 12 bytes of it for any grant of an ask; channel.
-- Returns {1, wake} if it was live and not void, else {0, wake}.
if string.sub(lease, 1, #ARGV[1]) ~= ARGV[1] then return {0, 0} end
local woken = wake(ARGV[2])
local was = live and not void
leave()
return {was and 1 or 0, woken}

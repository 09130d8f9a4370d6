-- Ends a lease.
-- ARGV: the grant, or its first 12 bytes to end any grant of one Ask; PUBLISH or SPUBLISH.
-- Returns {1, wake} if the lease was live and not revoked, else {0, wake}.
if string.sub(lease, 1, #ARGV[1]) ~= ARGV[1] then return {0, 0} end
local woken = wake(ARGV[2])
local held = live and not revoked
agree()
endLease()
return {held and 1 or 0, woken}
